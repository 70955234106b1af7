"""Metric points as an OTLP request, written as bytes, so that a service exports metrics without protobuf. Pure.

Field numbers: `opentelemetry/proto/metrics/v1/metrics.proto`. A test holds every message equal to the stock encoder's,
with these differences: minimum and maximum that were not recorded are left out instead of sent as infinities, and a
sum beyond 64 bits is sent as a double instead of failing the export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import Final, TypeVar

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.resources import Resource

from instrumentation.otlp.common import attributes
from instrumentation.otlp.envelope import resource_level, scope_level
from instrumentation.otlp.wire import (
    INT64_MAX,
    INT64_MIN,
    delimited,
    double,
    fixed64,
    packed_doubles,
    packed_fixed64,
    sfixed64,
    text,
    varint,
    zigzag,
)

_Point = TypeVar("_Point")

_times: Final = Struct("<BQBQ").pack  # start (2), time (3), in all kinds of points
_exemplar_ids: Final = Struct(">2sQ2sQQ").pack  # span_id (4), trace_id (5)
_LOW64: Final = (1 << 64) - 1
_INF: Final = float("inf")


def encode_metrics(data: MetricsData, resource: Resource | None = None) -> bytes:
    """An `ExportMetricsServiceRequest`.

    Args:
        data: what a metric reader collected.
        resource: taken instead of the data's own, which is the parent process's after a fork.

    Raises:
        struct.error: a count or a time does not fit its field.
        TypeError: a point's value is no number.
    """
    return b"".join(
        [
            resource_level(
                of_resource.resource if resource is None else resource,
                [
                    scope_level(of_scope.scope, [_metric(metric) for metric in of_scope.metrics])
                    for of_scope in of_resource.scope_metrics
                ],
            )
            for of_resource in data.resource_metrics
        ]
    )


def _metric(metric: Metric) -> bytes:
    data = metric.data
    body = text(b"\x0a", metric.name) + text(b"\x12", metric.description) + text(b"\x1a", metric.unit)
    # A metric without points has no data field either, as with the stock encoder.
    if not data.data_points:
        return delimited(b"\x12", body)
    match data:
        case Gauge():
            body += delimited(b"\x2a", _points(data.data_points, _gauge_point))
        case Sum():
            tail = _temporality(data.aggregation_temporality) + (b"\x18\x01" if data.is_monotonic else b"")
            body += delimited(b"\x3a", _points(data.data_points, _sum_point) + tail)
        case Histogram():
            tail = _temporality(data.aggregation_temporality)
            body += delimited(b"\x4a", _points(data.data_points, _histogram_point) + tail)
        case ExponentialHistogram():
            tail = _temporality(data.aggregation_temporality)
            body += delimited(b"\x52", _points(data.data_points, _exponential_point) + tail)
    return delimited(b"\x12", body)


def _points(points: Iterable[_Point], encode: Callable[[_Point], bytes]) -> bytes:
    return b"".join([delimited(b"\x0a", encode(point)) for point in points])


def _temporality(value: int) -> bytes:
    return b"\x10" + varint(value)


def _gauge_point(point: NumberDataPoint) -> bytes:
    return b"\x19" + fixed64(point.time_unix_nano or 0) + _number(point)


def _sum_point(point: NumberDataPoint) -> bytes:
    return _between(point) + _number(point)


def _between(point: NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint) -> bytes:
    return _times(0x11, point.start_time_unix_nano or 0, 0x19, point.time_unix_nano or 0)


def _number(point: NumberDataPoint) -> bytes:
    return (
        _value(point.value, b"\x31", b"\x21")
        + attributes(point.attributes, b"\x3a")
        + _exemplars(point.exemplars, b"\x2a")
    )


def _value(value: float, int_tag: bytes, double_tag: bytes) -> bytes:
    if isinstance(value, int):
        if INT64_MIN <= value <= INT64_MAX:
            return int_tag + sfixed64(value)
        try:
            value = float(value)
        except OverflowError:
            value = _INF if value > 0 else -_INF
    return double_tag + double(value)


def _histogram_point(point: HistogramDataPoint) -> bytes:
    return (
        _between(point)
        + b"\x21"
        + fixed64(point.count)
        + _optional_double(b"\x29", point.sum)
        + packed_fixed64(b"\x32", point.bucket_counts)
        + packed_doubles(b"\x3a", point.explicit_bounds)
        + _extremes(point, b"\x59", b"\x61")
        + attributes(point.attributes, b"\x4a")
        + _exemplars(point.exemplars, b"\x42")
    )


def _exponential_point(point: ExponentialHistogramDataPoint) -> bytes:
    return (
        _between(point)
        + b"\x21"
        + fixed64(point.count)
        + _optional_double(b"\x29", point.sum)
        + b"\x30"
        + zigzag(point.scale)
        + b"\x39"
        + fixed64(point.zero_count)
        + _buckets(point.positive, b"\x42")
        + _buckets(point.negative, b"\x4a")
        + (b"\x50" + varint(point.flags) if point.flags else b"")
        + _extremes(point, b"\x61", b"\x69")
        + attributes(point.attributes, b"\x0a")
        + _exemplars(point.exemplars, b"\x5a")
    )


def _buckets(buckets: Buckets, tag: bytes) -> bytes:
    if not buckets.bucket_counts:
        return b""
    counts = b"".join([varint(count) for count in buckets.bucket_counts])
    return delimited(tag, b"\x08" + zigzag(buckets.offset) + delimited(b"\x12", counts))


def _optional_double(tag: bytes, value: float | None) -> bytes:
    return b"" if value is None else tag + double(value)


def _extremes(point: HistogramDataPoint | ExponentialHistogramDataPoint, low: bytes, high: bytes) -> bytes:
    """Minimum and maximum; the SDK holds "not recorded" as infinities the wrong way round."""
    if point.min == _INF and point.max == -_INF:
        return b""
    return _optional_double(low, point.min) + _optional_double(high, point.max)


def _exemplars(exemplars: Sequence[Exemplar], tag: bytes) -> bytes:
    return b"".join([delimited(tag, _exemplar(exemplar)) for exemplar in exemplars]) if exemplars else b""


def _exemplar(exemplar: Exemplar) -> bytes:
    body = b"\x11" + fixed64(exemplar.time_unix_nano or 0) + _value(exemplar.value, b"\x31", b"\x19")
    if exemplar.span_id is not None and exemplar.trace_id is not None:
        trace_id = exemplar.trace_id
        body += _exemplar_ids(b"\x22\x08", exemplar.span_id, b"\x2a\x10", trace_id >> 64, trace_id & _LOW64)
    return body + attributes(exemplar.filtered_attributes, b"\x3a")
