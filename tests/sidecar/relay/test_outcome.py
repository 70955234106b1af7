"""What a target's answer means, as a table."""

from __future__ import annotations

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo  # type: ignore[import-untyped] # googleapis: no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # googleapis: no types
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from sidecar.ledger import Dropped
from sidecar.relay.outcome import Failed, Invalid, Later, Outcome, Sent, TooLarge, grpc_outcome, http_outcome
from sidecar.relay.reply import partial_success, retry_delay

PARTIAL = ExportTraceServiceResponse()
PARTIAL.partial_success.rejected_spans = 3
PARTIAL.partial_success.error_message = "too old"
NOW = 1_760_000_000.0
PROTO, JSON = "application/x-protobuf", "application/json"


def details(seconds: int, nanos: int = 0) -> bytes:
    """A Status with another detail before its RetryInfo."""
    status = Status(code=8, message="busy")
    status.details.add().Pack(ErrorInfo(reason="r"))
    info = RetryInfo()
    info.retry_delay.seconds, info.retry_delay.nanos = seconds, nanos
    status.details.add().Pack(info)
    return bytes(status.SerializeToString())


@pytest.mark.parametrize(
    ("status", "retry_after", "body", "content_type", "outcome"),
    [
        (200, "", b"", PROTO, Sent()),
        (202, "", b"<html>", "text/html", Sent()),
        (200, "", PARTIAL.SerializeToString(), PROTO, Sent(3, "too old")),
        (200, "", b'{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}', JSON + ";a=b", Sent(3, "x")),
        (200, "", b'{"partialSuccess":null}', JSON, Sent()),
        (429, "", b"", PROTO, Later("HTTP 429")),
        (503, "7", b"", PROTO, Later("HTTP 503", 7.0)),
        (502, "Thu, 09 Oct 2025 08:53:25 GMT", b"", PROTO, Later("HTTP 502", 5.0)),
        (504, "Thu, 09 Oct 2025 08:53:15 GMT", b"", PROTO, Later("HTTP 504", 0.0)),
        (503, "soon", b"", PROTO, Later("HTTP 503")),
        (503, "nan", b"", PROTO, Later("HTTP 503")),
        (400, "", b"", PROTO, Invalid("HTTP 400")),
        (413, "", b"", PROTO, TooLarge("HTTP 413")),
        (401, "", b"", PROTO, Failed("HTTP 401", Dropped.UNAUTHORIZED)),
        (403, "", b"", PROTO, Failed("HTTP 403", Dropped.UNAUTHORIZED)),
        (404, "", b"", PROTO, Failed("HTTP 404")),
        (500, "", b"", PROTO, Failed("HTTP 500")),
        (307, "", b"", PROTO, Failed("HTTP 307")),
    ],
)
def test_http(status: int, retry_after: str, body: bytes, content_type: str, outcome: Outcome) -> None:
    assert http_outcome(status, retry_after, content_type, body, NOW) == outcome


@pytest.mark.parametrize(
    ("code", "status_details", "size", "outcome"),
    [
        (14, b"", 9, Later("m")),
        (14, details(3), 9, Later("m", 3.0)),
        *((code, b"", 9, Later("m")) for code in (1, 4, 10, 11, 15)),
        (8, details(1, 500_000_000), 9, Later("m", 1.5)),
        (8, b"", 4 << 20, TooLarge("m")),
        (8, b"", 1000, Failed("m")),
        (3, b"", 9, Invalid("m")),
        (7, b"", 9, Failed("m", Dropped.UNAUTHORIZED)),
        (16, b"", 9, Failed("m", Dropped.UNAUTHORIZED)),
        *((code, b"", 9, Failed("m")) for code in (2, 5, 6, 9, 12, 13)),
    ],
)
def test_grpc(code: int, status_details: bytes, size: int, outcome: Outcome) -> None:
    assert grpc_outcome(code, "m", status_details, size) == outcome


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=60), st.sampled_from([PROTO, JSON, ""]))
def test_an_answer_that_cannot_be_read_rejected_nothing(body: bytes, content_type: str) -> None:
    rejected, message = partial_success(body, content_type)
    assert rejected >= 0
    assert isinstance(message, str)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damaged_details_are_no_details(data: st.DataObject) -> None:
    damaged = bytearray(details(5))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    delay = retry_delay(bytes(damaged))
    assert delay is None or delay >= 0
