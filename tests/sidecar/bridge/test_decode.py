"""Request bytes become points, and what cannot be used is named without costing the rest."""

from __future__ import annotations

import math

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource

from sidecar.bridge.decode import MAX_DETAIL, MAX_EXEMPLARS, MAX_PROBLEMS, InvalidExportError, decode, text_of
from sidecar.bridge.model import ExponentialValue, HistogramValue, Kind, SummaryValue
from sidecar.bridge.points import Point, Problem
from tests.support import otlp_metrics as otlp


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (True, "true"),
        (3, "3"),
        (-2.5, "-2.5"),
        (math.inf, "Infinity"),
        (math.nan, "NaN"),
        (["a", "b"], '["a","b"]'),
    ],
)
def test_attribute_values_become_text_by_the_spec(value: otlp.Attribute, text: str) -> None:
    assert text_of(otlp.any_value(value)) == text


def test_bytes_and_maps_become_base64_and_json() -> None:
    nested = AnyValue()
    nested.kvlist_value.values.add(key="b", value=AnyValue(bytes_value=b"\x00\x01"))
    assert text_of(nested) == '{"b":"AAE="}'
    assert text_of(AnyValue()) == ""


def test_an_sdk_export_of_every_instrument_decodes() -> None:
    """What the real SDK sends arrives with kind, unit, scope, start and values."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=Resource({"service.name": "cats"}))
    meter = provider.get_meter("lib", "1.2", attributes={"team": "ml"})
    meter.create_counter("c", unit="{x}", description="words").add(3, {"class": "cat", "n": 1})
    meter.create_up_down_counter("u").add(-2)
    meter.create_gauge("g", unit="By").set(1.5)
    meter.create_histogram("h", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1.0]).record(0.5)
    data = reader.get_metrics_data()
    assert data is not None
    export = decode(encode_metrics(data).SerializeToString()).exports[0]
    assert export.resource == (("service.name", "cats"),)
    found = {metric.descriptor.name: metric for metric in export.metrics}
    assert found["c"].descriptor.kind is Kind.COUNTER
    assert found["c"].descriptor.unit == "{x}"
    assert found["c"].description == "words"
    assert found["c"].descriptor.scope.attributes == (("team", "ml"),)
    counted = found["c"].points[0]
    assert (counted.attributes, counted.value) == ((("class", "cat"), ("n", "1")), 3)
    assert 0 < counted.start_ns <= counted.time_ns
    assert found["u"].descriptor.kind is Kind.UPDOWN
    assert found["g"].points[0].value == 1.5
    value = found["h"].points[0].value
    assert isinstance(value, HistogramValue)
    assert (value.bounds, value.counts, value.sum, value.count) == ((0.1, 1.0), (0, 1, 0), 0.5, 1)


def test_exponential_and_delta_exports_of_the_sdk_decode() -> None:
    reader = InMemoryMetricReader(
        preferred_temporality={Histogram: AggregationTemporality.DELTA},
        preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()},
    )
    meter = MeterProvider([reader]).get_meter("lib")
    for value in (0.0, 1.0, 4.0):
        meter.create_histogram("h").record(value)
    data = reader.get_metrics_data()
    assert data is not None
    metric = decode(encode_metrics(data).SerializeToString()).exports[0].metrics[0]
    assert metric.delta
    assert metric.descriptor.kind is Kind.EXPONENTIAL
    held = metric.points[0].value
    assert isinstance(held, ExponentialValue)
    assert (held.zero_count, sum(held.counts), held.count, held.sum) == (1, 2, 3, 5.0)


def test_a_summary_keeps_sum_and_count() -> None:
    body = otlp.request(
        {},
        pb.Metric(
            name="s",
            summary=pb.Summary(
                data_points=[
                    pb.SummaryDataPoint(
                        count=2, sum=3.5, quantile_values=[pb.SummaryDataPoint.ValueAtQuantile(quantile=0.5, value=1)]
                    )
                ]
            ),
        ),
    )
    assert decode(body).exports[0].metrics[0].points[0].value == SummaryValue(3.5, 2)


def _only(body: bytes) -> Point:
    return decode(body).exports[0].metrics[0].points[0]


def test_a_histogram_of_sum_and_count_alone_is_one_bucket() -> None:
    body = otlp.request(
        {},
        pb.Metric(
            name="h",
            histogram=pb.Histogram(
                aggregation_temporality=otlp.CUMULATIVE, data_points=[pb.HistogramDataPoint(count=4, sum=2.0)]
            ),
        ),
    )
    assert _only(body).value == HistogramValue((), (4,), 2.0, 4)


def test_a_spelled_out_infinite_bound_is_the_last_bucket() -> None:
    value = _only(otlp.request({}, otlp.histogram("h", otlp.histogram_point([1, math.inf], [1, 2, 0])))).value
    assert value == HistogramValue((1.0,), (1, 2), 0.0, 3)


def test_a_histogram_without_a_sum_has_none() -> None:
    value = _only(otlp.request({}, otlp.histogram("h", otlp.histogram_point([1], [1, 2], None)))).value
    assert isinstance(value, HistogramValue)
    assert math.isnan(value.sum)


def test_the_no_recorded_value_flag_ends_a_stream() -> None:
    assert _only(otlp.request({}, otlp.gauge("g", otlp.point(1, flags=1)))).value is None


def test_exemplars_keep_trace_span_and_what_was_filtered() -> None:
    exemplar = pb.Exemplar(
        as_double=0.3,
        time_unix_nano=7,
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        filtered_attributes=otlp.attributes({"user": "u1"}),
    )
    value = _only(otlp.request({}, otlp.histogram("h", otlp.histogram_point([1], [1, 0], exemplars=[exemplar])))).value
    assert isinstance(value, HistogramValue)
    held = value.exemplars[0]
    assert (held.value, held.timestamp_ns, held.trace_id) == (0.3, 7, bytes(range(16)).hex())
    assert (held.span_id, held.attributes) == (bytes(range(8)).hex(), (("user", "u1"),))


BAD = {
    "a monotonic sum of -1": otlp.counter("bad", otlp.point(-1)),
    "a monotonic sum of nan": otlp.counter("bad", otlp.point(math.nan)),
    "a sum of inf": otlp.updown("bad", otlp.point(math.inf)),
    "a histogram of 2 bounds and 2 buckets": otlp.histogram("bad", otlp.histogram_point([1, 2], [1, 1])),
    "bounds that do not increase: (2.0, 1.0)": otlp.histogram("bad", otlp.histogram_point([2, 1], [1, 1, 1])),
    "a number point without a value": pb.Metric(name="bad", gauge=pb.Gauge(data_points=[pb.NumberDataPoint()])),
    "buckets that hold 1 of 9 values": pb.Metric(
        name="bad",
        histogram=pb.Histogram(
            aggregation_temporality=otlp.CUMULATIVE, data_points=[pb.HistogramDataPoint(count=9, bucket_counts=[1])]
        ),
    ),
    "an exponential histogram of scale 99": pb.Metric(
        name="bad",
        exponential_histogram=pb.ExponentialHistogram(
            aggregation_temporality=otlp.CUMULATIVE, data_points=[pb.ExponentialHistogramDataPoint(scale=99)]
        ),
    ),
    "neither cumulative nor delta": pb.Metric(name="bad", sum=pb.Sum(data_points=[otlp.point(1)], is_monotonic=True)),
}


@pytest.mark.parametrize("detail", BAD)
def test_an_unusable_point_is_named_and_the_rest_stays(detail: str) -> None:
    decoded = decode(otlp.request({}, otlp.counter("good", otlp.point(1)), BAD[detail]))
    assert [(problem.metric, problem.detail, problem.points) for problem in decoded.problems] == [("bad", detail, 1)]
    assert decoded.exports[0].metrics[0].points[0].value == 1


def test_a_metric_without_a_name_is_unusable() -> None:
    problem = decode(otlp.request({}, otlp.counter("", otlp.point(1), otlp.point(2)))).problems[0]
    assert (problem.reason, problem.points) == ("no_name", 2)


def test_other_bytes_are_no_export() -> None:
    with pytest.raises(InvalidExportError, match="no ExportMetricsServiceRequest in 4 bytes"):
        decode(b"\xff\xff\xff\xff")


def test_joined_bodies_are_one_request() -> None:
    """Batches are joined as bytes on the way (sidecar.batch), so two bodies decode as both."""
    body = otlp.request({"p": "1"}, otlp.counter("c", otlp.point(1)))
    assert len(decode(body + body).exports) == 2
    assert len(ExportMetricsServiceRequest.FromString(body + body).resource_metrics) == 2


class TestProblems:
    """What is wrong is counted, so that a request of bad points costs no more than one of good ones."""

    def test_bad_points_of_a_metric_are_one_problem(self) -> None:
        """A point without a value is two bytes; two million of them, an object each, held the bridge for 24 s."""
        empty = pb.Metric(name="x", gauge=pb.Gauge(data_points=[pb.NumberDataPoint()] * 5_000))
        bad = otlp.counter("c", otlp.point(-1.0), otlp.point(3), otlp.point(-2.0))
        decoded = decode(otlp.request({}, empty, bad))
        assert decoded.problems == (
            Problem("malformed", "x", "a number point without a value", 5_000),
            Problem("malformed", "c", "a monotonic sum of -1.0", 2),
        )
        assert [len(metric.points) for metric in decoded.exports[0].metrics] == [0, 1]

    def test_of_too_many_metrics_the_names_are_left_out_and_the_points_counted(self) -> None:
        metrics = [pb.Metric(name=f"m{n}", gauge=pb.Gauge(data_points=[pb.NumberDataPoint()] * 2)) for n in range(300)]
        problems = decode(otlp.request({}, *metrics, otlp.counter("", otlp.point(1)))).problems
        assert len(problems) == MAX_PROBLEMS + 2
        assert {problem.metric for problem in problems[MAX_PROBLEMS:]} == {""}
        assert sum(problem.points for problem in problems) == 601

    def test_a_detail_is_short(self) -> None:
        point = otlp.histogram_point([1.0] * 1_000, [0] * 1_001)
        (problem,) = decode(otlp.request({}, otlp.histogram("h", point))).problems
        assert problem.detail.startswith("bounds that do not increase: (1.0, 1.0")
        assert len(problem.detail) == MAX_DETAIL


@pytest.mark.parametrize(
    ("trace", "span", "expected"),
    [
        (b"\1" * 16, b"\2" * 8, ("01" * 16, "02" * 8)),
        (b"\1" * 15, b"\2" * 8, ("", "02" * 8)),
        (b"\1" * 200, b"\2" * 9, ("", "")),
        (bytes(16), bytes(8), ("", "")),
    ],
)
def test_ids_that_name_nothing_are_dropped(trace: bytes, span: bytes, expected: tuple[str, str]) -> None:
    exemplar = pb.Exemplar(trace_id=trace, span_id=span, as_double=0.5)
    value = _only(otlp.request({}, otlp.histogram("h", otlp.histogram_point([1], [1, 0], exemplars=[exemplar])))).value
    assert isinstance(value, HistogramValue)
    assert [(one.value, one.trace_id, one.span_id) for one in value.exemplars] == [(0.5, *expected)]


def test_of_too_many_exemplars_the_last_are_looked_at() -> None:
    exemplars = [pb.Exemplar(as_double=number) for number in range(MAX_EXEMPLARS + 5)]
    value = _only(otlp.request({}, otlp.histogram("h", otlp.histogram_point([1], [1, 0], exemplars=exemplars)))).value
    assert isinstance(value, HistogramValue)
    assert [one.value for one in value.exemplars] == list(range(5, MAX_EXEMPLARS + 5))
