"""Metric export requests for tests, in OTLP's own protobuf: what a worker of any SDK could send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

Attribute = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Attribute]
CUMULATIVE = pb.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = pb.AGGREGATION_TEMPORALITY_DELTA


def any_value(value: Attribute) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))


def attributes(values: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in values.items()]


def point(
    value: float, labels: Attributes | None = None, *, start: int = 0, time: int = 0, flags: int = 0
) -> pb.NumberDataPoint:
    made = pb.NumberDataPoint(
        attributes=attributes(labels or {}), start_time_unix_nano=start, time_unix_nano=time, flags=flags
    )
    if isinstance(value, int):
        made.as_int = value
    else:
        made.as_double = value
    return made


def counter(name: str, *points: pb.NumberDataPoint, unit: str = "", delta: bool = False, help_: str = "") -> pb.Metric:
    data = pb.Sum(data_points=points, aggregation_temporality=DELTA if delta else CUMULATIVE, is_monotonic=True)
    return pb.Metric(name=name, unit=unit, description=help_, sum=data)


def updown(name: str, *points: pb.NumberDataPoint, delta: bool = False) -> pb.Metric:
    return pb.Metric(name=name, sum=pb.Sum(data_points=points, aggregation_temporality=DELTA if delta else CUMULATIVE))


def gauge(name: str, *points: pb.NumberDataPoint, unit: str = "") -> pb.Metric:
    return pb.Metric(name=name, unit=unit, gauge=pb.Gauge(data_points=points))


def histogram_point(
    bounds: Sequence[float],
    counts: Sequence[int],
    total: float | None = 0.0,
    labels: Attributes | None = None,
    *,
    start: int = 0,
    time: int = 0,
    exemplars: Sequence[pb.Exemplar] = (),
) -> pb.HistogramDataPoint:
    return pb.HistogramDataPoint(
        attributes=attributes(labels or {}),
        start_time_unix_nano=start,
        time_unix_nano=time,
        explicit_bounds=bounds,
        bucket_counts=counts,
        count=sum(counts),
        sum=total,
        exemplars=exemplars,
    )


def histogram(
    name: str, *points: pb.HistogramDataPoint, unit: str = "", delta: bool = False, help_: str = ""
) -> pb.Metric:
    data = pb.Histogram(data_points=points, aggregation_temporality=DELTA if delta else CUMULATIVE)
    return pb.Metric(name=name, unit=unit, description=help_, histogram=data)


def request(
    resource: Attributes,
    *metrics: pb.Metric,
    scope: str = "test",
    version: str = "",
    scope_attributes: Attributes | None = None,
    schema_url: str = "",
) -> bytes:
    """One process's export as it is sent."""
    group = pb.ResourceMetrics(
        resource=Resource(attributes=attributes(resource)),
        scope_metrics=[
            pb.ScopeMetrics(
                scope=InstrumentationScope(name=scope, version=version, attributes=attributes(scope_attributes or {})),
                schema_url=schema_url,
                metrics=metrics,
            )
        ],
    )
    return ExportMetricsServiceRequest(resource_metrics=[group]).SerializeToString()
