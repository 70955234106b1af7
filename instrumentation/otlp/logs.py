"""Log records as an OTLP request, written as bytes, so that logs leave a service the way its spans do. Pure.

Field numbers: `opentelemetry/proto/logs/v1/logs.proto`. A test holds every message equal to the stock encoder's.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource

from instrumentation.otlp.common import any_value, attributes
from instrumentation.otlp.envelope import encode_request
from instrumentation.otlp.wire import delimited, text, varint

_times: Final = Struct("<BQBQBI").pack  # time (1), observed (11), flags (8)


def encode_logs(records: Sequence[ReadableLogRecord], resource: Resource | None = None) -> bytes:
    """An `ExportLogsServiceRequest`.

    Args:
        records: emitted log records.
        resource: taken instead of the records' own, which is the parent process's after a fork.

    Raises:
        OverflowError: an id does not fit its field.
        struct.error: a time does not fit its field.
    """
    return encode_request(records, _record, resource)


def _record(readable: ReadableLogRecord) -> bytes:
    record = readable.log_record
    severity = record.severity_number
    body = [
        _times(0x09, record.timestamp or 0, 0x59, record.observed_timestamp or 0, 0x45, int(record.trace_flags or 0)),
        b"\x10" + varint(severity.value) if severity is not None else b"",
        text(b"\x1a", record.severity_text),
        delimited(b"\x2a", any_value(record.body)),
        attributes(record.attributes, b"\x32"),
        text(b"\x62", record.event_name),
    ]
    if readable.dropped_attributes:
        body.append(b"\x38" + varint(readable.dropped_attributes))
    if record.trace_id:
        body.append(b"\x4a\x10" + record.trace_id.to_bytes(16, "big"))
    if record.span_id:
        body.append(b"\x52\x08" + record.span_id.to_bytes(8, "big"))
    return delimited(b"\x12", b"".join(body))
