"""Trace requests for tests: made by hand where a test needs wrong ones, by the real SDK's encoder elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status
from opentelemetry.sdk.trace import ReadableSpan

from sidecar.batch import Batch, Signal

T0 = 1_760_000_000_000_000_000
MS = 1_000_000


def span(
    span_id: int,
    parent: int = 0,
    *,
    trace: int = 1,
    name: str = "work",
    start_ms: float = 0,
    ms: float = 10,
    kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL,
    error: str | None = None,
    attributes: Mapping[str, AnyValue] | None = None,
) -> Span:
    """A span; ids are small numbers, times are milliseconds after `T0`."""
    begin = T0 + round(start_ms * MS)
    return Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=span_id.to_bytes(8, "big"),
        parent_span_id=parent.to_bytes(8, "big") if parent else b"",
        name=name,
        kind=kind,
        start_time_unix_nano=begin,
        end_time_unix_nano=begin + round(ms * MS),
        status=Status() if error is None else Status(code=Status.STATUS_CODE_ERROR, message=error),
        attributes=[KeyValue(key=key, value=value) for key, value in (attributes or {}).items()],
    )


def batch(*spans: Span, service: str = "shop", received_ns: int = T0 + 10**12) -> Batch:
    """One request of one service's spans."""
    resource = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value=service))])
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=spans)])]
    )
    return Batch(Signal.TRACES, request.SerializeToString(), len(spans), received_ns)


def sdk_batch(spans: Iterable[ReadableSpan], received_ns: int = T0 + 10**12) -> Batch:
    """What the stock OTLP exporter would send for the SDK's spans."""
    finished = list(spans)
    return Batch(Signal.TRACES, encode_spans(finished).SerializeToString(), len(finished), received_ns)
