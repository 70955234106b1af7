from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as stock
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from instrumentation.otlp.logs import encode_logs

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | TEXT | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
TIMES = st.none() | st.integers(0, (1 << 64) - 1)
CONTEXTS = st.none() | st.builds(
    SpanContext,
    trace_id=st.integers(1, (1 << 128) - 1),
    span_id=st.integers(1, (1 << 64) - 1),
    is_remote=st.booleans(),
    trace_flags=st.sampled_from([TraceFlags(0), TraceFlags(1)]),
)


def record(**values: Any) -> ReadableLogRecord:
    span = values.pop("span")
    context = trace.set_span_in_context(NonRecordingSpan(span)) if span else None
    scope = values.pop("scope")
    resource = Resource({"r": values.pop("resource")})
    return ReadableLogRecord(LogRecord(context=context, **values), resource, scope)


RECORDS = st.lists(
    st.builds(
        record,
        span=CONTEXTS,
        scope=st.none() | st.builds(InstrumentationScope, st.sampled_from(["a", "b"])),
        resource=st.integers(0, 1),
        timestamp=TIMES,
        observed_timestamp=TIMES,
        severity_text=st.none() | TEXT,
        severity_number=st.none() | st.sampled_from(list(SeverityNumber)),
        body=BODIES,
        attributes=st.none() | st.dictionaries(KEYS, BODIES, max_size=3),
        event_name=st.none() | TEXT,
    ),
    max_size=4,
)


def canonical(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(RECORDS)
def test_random_records_are_the_stock_encoders_message(records: list[ReadableLogRecord]) -> None:
    message = ExportLogsServiceRequest.FromString(encode_logs(records))
    assert canonical(message) == canonical(stock(records))


def test_what_the_sdk_emits_is_the_stock_encoders_message() -> None:
    memory = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call] # the SDK's
    provider = LoggerProvider(Resource({"service.name": "s"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(memory))
    provider.get_logger("l", "1", "https://schema").emit(
        LogRecord(timestamp=5, severity_number=SeverityNumber.WARN, body={"a": [1, None]}, attributes={"k": "v"})
    )
    records = memory.get_finished_logs()
    assert ExportLogsServiceRequest.FromString(encode_logs(records)) == stock(records)


def test_dropped_attributes_are_counted() -> None:
    limited = record(span=None, scope=None, resource=0, attributes=None)
    limited.log_record.attributes = BoundedAttributes(
        LogRecordLimits(max_attributes=1).max_attributes, {"a": 1, "b": 2}
    )
    message = ExportLogsServiceRequest.FromString(encode_logs([limited]))
    assert message == stock([limited])
    assert message.resource_logs[0].scope_logs[0].log_records[0].dropped_attributes_count == 1


def test_a_given_resource_replaces_the_records_own() -> None:
    records = [record(span=None, scope=None, resource=number, body="b") for number in (1, 2)]
    [of_resource] = ExportLogsServiceRequest.FromString(encode_logs(records, Resource({"r": 3}))).resource_logs
    assert [a.value.int_value for a in of_resource.resource.attributes] == [3]
    assert len(of_resource.scope_logs[0].log_records) == 2
