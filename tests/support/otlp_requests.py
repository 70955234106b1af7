"""Random valid export requests of every signal, so that properties are tried on what real protobuf writes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Exemplar,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from sidecar.batch import Signal

REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def _several(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(elements, max_size=3)


_text = st.text(st.characters(codec="utf-8"), max_size=20)
_double = st.floats(allow_nan=False)
_time = st.integers(0, 2**64 - 1)
_int64 = st.integers(-(2**63), 2**63 - 1)

_scalar = st.one_of(
    _text.map(lambda value: AnyValue(string_value=value)),
    st.booleans().map(lambda value: AnyValue(bool_value=value)),
    _int64.map(lambda value: AnyValue(int_value=value)),
    _double.map(lambda value: AnyValue(double_value=value)),
    st.binary(max_size=20).map(lambda value: AnyValue(bytes_value=value)),
)


def _array(values: list[AnyValue]) -> AnyValue:
    value = AnyValue()
    value.array_value.values.extend(values)
    return value


_value = _scalar | _several(_scalar).map(_array)
_attributes = _several(st.builds(KeyValue, key=_text, value=_value))
_resource = st.builds(Resource, attributes=_attributes)
_scope = st.builds(InstrumentationScope, name=_text, version=_text)
_trace_id = st.binary(min_size=16, max_size=16)
_span_id = st.binary(min_size=8, max_size=8)
_span = st.builds(
    Span,
    trace_id=_trace_id,
    span_id=_span_id,
    name=_text | st.text("x", min_size=200, max_size=300) | st.just("y" * 20_000),
    kind=st.integers(0, 5),
    start_time_unix_nano=_time,
    end_time_unix_nano=_time,
    attributes=_attributes,
    events=_several(st.builds(Span.Event, name=_text, time_unix_nano=_time)),
    links=_several(st.builds(Span.Link, trace_id=_trace_id, span_id=_span_id)),
    status=st.builds(Status, code=st.integers(0, 2), message=_text),
    flags=st.integers(0, 2**32 - 1),
)
_log = st.builds(
    LogRecord, time_unix_nano=_time, severity_number=st.integers(0, 24), body=_value, attributes=_attributes
)
_exemplar = st.builds(Exemplar, as_double=_double, trace_id=_trace_id, span_id=_span_id, time_unix_nano=_time)
_number = st.builds(NumberDataPoint, as_int=_int64, attributes=_attributes, exemplars=_several(_exemplar)) | st.builds(
    NumberDataPoint, as_double=_double, time_unix_nano=_time
)
_numbers = _several(_number)
_histogram = st.builds(
    HistogramDataPoint, count=_time, sum=_double, bucket_counts=_several(_time), explicit_bounds=st.just([1.0])
)
_exponential = st.builds(ExponentialHistogramDataPoint, scale=st.integers(-10, 20), zero_count=_time)
_summary = st.builds(SummaryDataPoint, count=_time, sum=_double)
_metric = st.one_of(
    st.builds(Metric, name=_text, unit=_text, gauge=st.builds(Gauge, data_points=_numbers)),
    st.builds(
        Metric,
        name=_text,
        sum=st.builds(Sum, data_points=_numbers, is_monotonic=st.booleans(), aggregation_temporality=st.integers(0, 2)),
    ),
    st.builds(Metric, histogram=st.builds(Histogram, data_points=_several(_histogram))),
    st.builds(Metric, exponential_histogram=st.builds(ExponentialHistogram, data_points=_several(_exponential))),
    st.builds(Metric, summary=st.builds(Summary, data_points=_several(_summary))),
    st.builds(Metric, name=_text, description=_text),
)

traces = st.builds(
    ExportTraceServiceRequest,
    resource_spans=_several(
        st.builds(
            ResourceSpans,
            resource=_resource,
            schema_url=_text,
            scope_spans=_several(st.builds(ScopeSpans, scope=_scope, spans=_several(_span))),
        ),
    ),
)
logs = st.builds(
    ExportLogsServiceRequest,
    resource_logs=_several(
        st.builds(
            ResourceLogs,
            resource=_resource,
            scope_logs=_several(st.builds(ScopeLogs, scope=_scope, log_records=_several(_log))),
        ),
    ),
)
metrics = st.builds(
    ExportMetricsServiceRequest,
    resource_metrics=_several(
        st.builds(
            ResourceMetrics,
            resource=_resource,
            scope_metrics=_several(st.builds(ScopeMetrics, scope=_scope, metrics=_several(_metric))),
        ),
    ),
)
#: A signal and a request of it.
requests = st.one_of(
    st.tuples(st.just(Signal.TRACES), traces),
    st.tuples(st.just(Signal.LOGS), logs),
    st.tuples(st.just(Signal.METRICS), metrics),
)


def items_of(signal: Signal, request: Any) -> list[Any]:
    """The spans, data points or log records in a request, found by protobuf itself."""
    if signal is Signal.TRACES:
        return [span for r in request.resource_spans for s in r.scope_spans for span in s.spans]
    if signal is Signal.LOGS:
        return [record for r in request.resource_logs for s in r.scope_logs for record in s.log_records]
    found = []
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                found += list(getattr(metric, kind).data_points) if kind else []
    return found


def trace_body(spans: int = 1, *, name: str = "work", service: str = "shop", padding: int = 0) -> bytes:
    """A serialized trace request with so many spans, each with so many bytes of padding."""
    span = Span(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        name=name,
        start_time_unix_nano=1,
        end_time_unix_nano=2,
        attributes=[KeyValue(key="padding", value=AnyValue(string_value="p" * padding))] if padding else [],
    )
    resource = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value=service))])
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(spans=[span] * spans)])]
    )
    return request.SerializeToString()


def log_body(records: int = 1) -> bytes:
    """A serialized log request."""
    record = LogRecord(body=AnyValue(string_value="said"), time_unix_nano=1)
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(scope_logs=[ScopeLogs(log_records=[record] * records)])]
    ).SerializeToString()


def metric_body(points: int = 1) -> bytes:
    """A serialized metric request with one gauge."""
    metric = Metric(name="level", gauge=Gauge(data_points=[NumberDataPoint(as_int=1, time_unix_nano=2)] * points))
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=[metric])])]
    ).SerializeToString()
