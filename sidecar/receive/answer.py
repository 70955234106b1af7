"""What a receiver says back: the few small messages of OTLP's answers, written by hand so that no protobuf is imported.

Sources: opentelemetry.io/docs/specs/otlp (responses, failures, throttling) and google/rpc/{status,error_details}.proto.
"""

from __future__ import annotations

import json
from enum import Enum

from sidecar.batch import Accepted, Refusal, Signal
from sidecar.ledger import Refused


class Content(Enum):
    """How a request and its answer are written; the value is the media type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


#: HTTP status and google.rpc.Code by reason.
_CODES: dict[str, tuple[int, int]] = {
    Refused.TOO_LARGE: (413, 8),
    Refused.QUEUE_FULL: (429, 8),
    Refused.UNSUPPORTED: (415, 12),
    Refused.INTERRUPTED: (408, 1),
    Refused.INTERNAL: (500, 13),
}
# A stage's own reasons: only whether a retry can help matters.
_RETRYABLE = (503, 14)
_PERMANENT = (400, 3)
_REJECTED_KEYS = {
    Signal.TRACES: "rejectedSpans",
    Signal.METRICS: "rejectedDataPoints",
    Signal.LOGS: "rejectedLogRecords",
}
_RETRY_INFO = b"type.googleapis.com/google.rpc.RetryInfo"


def codes(refusal: Refusal) -> tuple[int, int]:
    """HTTP status and google.rpc.Code of a refusal."""
    return _CODES.get(refusal.reason, _PERMANENT if refusal.retry_after_s is None else _RETRYABLE)


def export_response(signal: Signal, content: Content, accepted: Accepted) -> bytes:
    """An Export{Trace,Metrics,Logs}ServiceResponse; its partial_success is left out when all is well."""
    well = not accepted.rejected and not accepted.message
    if content is Content.JSON:
        partial = {_REJECTED_KEYS[signal]: str(accepted.rejected), "errorMessage": accepted.message}
        return json.dumps({} if well else {"partialSuccess": partial}).encode()
    if well:
        return b""
    rejected = b"\x08" + varint(accepted.rejected) if accepted.rejected else b""
    return _bytes_field(1, rejected + _bytes_field(2, accepted.message.encode()))


def status_body(content: Content, refusal: Refusal) -> bytes:
    """A google.rpc.Status as the body of an HTTP error."""
    code = codes(refusal)[1]
    if content is Content.JSON:
        return json.dumps({"code": code, "message": refusal.message}).encode()
    return _status(code, refusal.message)


def status_details(refusal: Refusal) -> bytes:
    """The value of gRPC's `grpc-status-details-bin`: a Status, with RetryInfo when the sender may try again."""
    status = _status(codes(refusal)[1], refusal.message)
    if refusal.retry_after_s is None:
        return status
    seconds, nanos = divmod(round(refusal.retry_after_s * 1e9), 1_000_000_000)
    duration = b"\x08" + varint(seconds) + (b"\x10" + varint(nanos) if nanos else b"")
    retry_info = _bytes_field(1, duration)
    return status + _bytes_field(3, _bytes_field(1, _RETRY_INFO) + _bytes_field(2, retry_info))


def _status(code: int, message: str) -> bytes:
    return b"\x08" + varint(code) + _bytes_field(2, message.encode())


def _bytes_field(number: int, value: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """A non-negative integer in protobuf's variable length."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
