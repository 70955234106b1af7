from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as stock
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import Counter, Exemplar, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from instrumentation.otlp.metrics import encode_metrics

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ATTRIBUTES = st.none() | st.dictionaries(TEXT, TEXT | st.booleans() | st.integers(-9, 9) | st.floats(), max_size=3)
UINT64 = st.integers(0, (1 << 64) - 1)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
NUMBERS = INT64 | st.floats()
EXEMPLARS = st.lists(
    st.builds(
        Exemplar,
        ATTRIBUTES,
        NUMBERS,
        UINT64,
        st.none() | UINT64,
        st.none() | st.integers(0, (1 << 128) - 1),
    ),
    max_size=2,
)
TEMPORALITIES = st.sampled_from(list(AggregationTemporality))
OPTIONAL = st.none() | st.floats()
NUMBER_POINTS = st.lists(
    st.builds(NumberDataPoint, ATTRIBUTES, st.none() | UINT64, UINT64, NUMBERS, EXEMPLARS), max_size=3
)
HISTOGRAM_POINTS = st.lists(
    st.builds(
        HistogramDataPoint,
        ATTRIBUTES,
        UINT64,
        UINT64,
        UINT64,
        st.none() | NUMBERS,
        st.lists(UINT64, max_size=4),
        st.lists(st.floats(), max_size=4).map(tuple),
        OPTIONAL,
        OPTIONAL,
        EXEMPLARS,
    ),
    max_size=3,
)
BUCKETS = st.builds(Buckets, st.integers(-(1 << 31), (1 << 31) - 1), st.lists(UINT64, max_size=4))
EXPONENTIAL_POINTS = st.lists(
    st.builds(
        ExponentialHistogramDataPoint,
        ATTRIBUTES,
        UINT64,
        UINT64,
        UINT64,
        NUMBERS,
        st.integers(-10, 20),
        UINT64,
        BUCKETS,
        BUCKETS,
        st.integers(0, 1),
        OPTIONAL,
        OPTIONAL,
        EXEMPLARS,
    ),
    max_size=3,
)
DATA = (
    st.builds(Gauge, NUMBER_POINTS)
    | st.builds(Sum, NUMBER_POINTS, TEMPORALITIES, st.booleans())
    | st.builds(Histogram, HISTOGRAM_POINTS, TEMPORALITIES)
    | st.builds(ExponentialHistogram, EXPONENTIAL_POINTS, TEMPORALITIES)
)
METRICS = st.lists(st.builds(Metric, TEXT, st.none() | TEXT, st.none() | TEXT, DATA), max_size=3)
# One scope of each name: the stock encoder keeps only the last of equal ones.
SCOPES = st.lists(
    st.builds(
        ScopeMetrics,
        st.builds(InstrumentationScope, TEXT, st.none() | TEXT, st.none() | TEXT, ATTRIBUTES),
        METRICS,
        st.just(""),
    ),
    max_size=2,
    unique_by=lambda scope: scope.scope.name,
)
RESOURCES = st.lists(
    st.builds(ResourceMetrics, st.builds(Resource, st.dictionaries(TEXT, TEXT, max_size=2), TEXT), SCOPES, st.just("")),
    max_size=2,
    unique_by=lambda resource: resource.resource,
)


def canonical(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def expected(data: MetricsData) -> ExportMetricsServiceRequest:
    """The stock encoder's message, without the infinities that stand for a minimum and maximum not recorded."""
    message = stock(data)
    for of_resource in message.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                points: list[Any] = [*metric.histogram.data_points, *metric.exponential_histogram.data_points]
                for point in points:
                    if point.min == math.inf and point.max == -math.inf:
                        point.ClearField("min")
                        point.ClearField("max")
    return message


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(RESOURCES)
def test_random_points_are_the_stock_encoders_message(resources: list[ResourceMetrics]) -> None:
    data = MetricsData(resources)
    message = ExportMetricsServiceRequest.FromString(encode_metrics(data))
    assert canonical(message) == canonical(expected(data))


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_what_the_sdk_collects_is_the_stock_encoders_message(temporality: AggregationTemporality) -> None:
    """All instruments, views of both histogram kinds, exemplars of a sampled span, the cardinality overflow."""
    reader = InMemoryMetricReader(preferred_temporality={Counter: temporality})
    provider = MeterProvider(
        [reader],
        Resource({"service.name": "s"}),
        views=[
            View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation()),
            View(instrument_name="bare", aggregation=ExplicitBucketHistogramAggregation(record_min_max=False)),
        ],
        shutdown_on_exit=False,
    )
    meter = provider.get_meter("meter", "1", "https://schema", {"scope": "attribute"})

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(3, {"k": "v"}), Observation(2.5)]

    meter.create_observable_counter("observed", [observe])
    meter.create_observable_up_down_counter("observed.up.down", [observe])
    meter.create_observable_gauge("observed.gauge", [observe])
    sampled = SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    with trace.use_span(NonRecordingSpan(sampled)):
        counter = meter.create_counter("counter", "{thing}", "things")
        for number in range(2010):
            counter.add(1, {"number": number})
        meter.create_up_down_counter("up.down").add(-4)
        meter.create_gauge("gauge").set(0.5, {"on": True})
        for name in ("classic", "exponential", "bare"):
            histogram = meter.create_histogram(name, "s")
            for value in (0, 0.3, 4, 1e9):
                histogram.record(value, {"k": "v"})
    data = reader.get_metrics_data()
    assert data is not None
    message = ExportMetricsServiceRequest.FromString(encode_metrics(data))
    assert canonical(message) == canonical(expected(data))
    assert b"otel.metric.overflow" in canonical(message)
    [bare] = [m for m in message.resource_metrics[0].scope_metrics[0].metrics if m.name == "bare"]
    assert not bare.histogram.data_points[0].HasField("min")


def one(value: Any, resource: Resource | None = None) -> ExportMetricsServiceRequest:
    data = Gauge([NumberDataPoint({}, 0, 1, value)])
    scope = ScopeMetrics(InstrumentationScope("s"), [Metric("m", None, None, data)], "")
    whole = MetricsData([ResourceMetrics(Resource({"process.pid": 1}), [scope], "")])
    return ExportMetricsServiceRequest.FromString(encode_metrics(whole, resource))


@pytest.mark.parametrize(("value", "sent"), [(1 << 63, 2.0**63), (10**400, math.inf), (-(10**400), -math.inf)])
def test_a_sum_beyond_64_bits_is_the_nearest_double(value: int, sent: float) -> None:
    [metric] = one(value).resource_metrics[0].scope_metrics[0].metrics
    assert metric.gauge.data_points[0].as_double == sent


def test_a_given_resource_replaces_the_datas_own() -> None:
    [of_resource] = one(1, Resource({"process.pid": 2})).resource_metrics
    assert [a.value.int_value for a in of_resource.resource.attributes] == [2]
