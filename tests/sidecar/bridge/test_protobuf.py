"""The protobuf exposition says what the text formats say, and native histograms besides."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.bridge import openmetrics, protobuf
from sidecar.bridge.expose import exposition
from sidecar.bridge.model import Exemplar, ExponentialValue, Family, HistogramValue, Kind, Series, SummaryValue, Value
from sidecar.bridge.prom import Metric, Row, Type
from sidecar.bridge.rules import Rule
from sidecar.contract import View
from tests.support.prometheus import parse_openmetrics
from tests.support.prometheus_proto import COUNTER, GAUGE, HISTOGRAM, SUMMARY, parse_protobuf

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
EXEMPLAR = Exemplar(5.0, 2_250_000_000, "ab", "cd", (("user.id", "7"),))


def one(name: str, kind: Type, *rows: Row, unit: str = "", help_: str = "") -> Any:
    (family,) = parse_protobuf(protobuf.render([Metric(name, kind, help_, unit, rows)]))
    return family


def samples(body: bytes) -> Samples:
    """What Prometheus would store of it with classic buckets."""
    found: Samples = {}

    def put(name: str, labels: dict[str, str], value: float) -> None:
        found[name, tuple(sorted(labels.items()))] = value

    for family in parse_protobuf(body):
        for metric in family.metric:
            labels = {pair.name: pair.value for pair in metric.label}
            if metric.HasField("counter"):
                put(family.name, labels, metric.counter.value)
            elif metric.HasField("gauge"):
                put(family.name, labels, metric.gauge.value)
            else:
                held = metric.summary if metric.HasField("summary") else metric.histogram
                put(f"{family.name}_count", labels, held.sample_count)
                put(f"{family.name}_sum", labels, held.sample_sum)
                for bucket in getattr(held, "bucket", ()):
                    put(
                        f"{family.name}_bucket",
                        labels | {"le": str(bucket.upper_bound)},
                        bucket.cumulative_count,
                    )
    return found


def test_counters_have_exemplars_and_creation_times() -> None:
    row = Row((("kind", "cat"),), 3, 1_500_000_000, (EXEMPLAR,))
    family = one("cats_seconds_total", Type.COUNTER, row, unit="seconds", help_="Cats.")
    assert (family.name, family.help, family.type, family.unit) == ("cats_seconds_total", "Cats.", COUNTER, "seconds")
    (metric,) = family.metric
    assert [(pair.name, pair.value) for pair in metric.label] == [("kind", "cat")]
    assert metric.counter.value == 3
    assert metric.counter.created_timestamp.ToNanoseconds() == 1_500_000_000
    exemplar = metric.counter.exemplar
    assert {pair.name: pair.value for pair in exemplar.label} == {"trace_id": "ab", "span_id": "cd", "user_id": "7"}
    assert (exemplar.value, exemplar.timestamp.ToNanoseconds()) == (5.0, 2_250_000_000)


def test_gauges_summaries_and_info() -> None:
    assert one("g", Type.GAUGE, Row((), -0.0)).metric[0].gauge.value == 0
    assert one("g", Type.GAUGE, Row((), 0)).type == GAUGE
    assert one("target_info", Type.INFO, Row((("a", "b"),), 1)).type == GAUGE
    family = one("s", Type.SUMMARY, Row((), SummaryValue(2.5, 3), 7))
    assert family.type == SUMMARY
    assert (family.metric[0].summary.sample_sum, family.metric[0].summary.sample_count) == (2.5, 3)
    assert family.metric[0].summary.created_timestamp.nanos == 7


def test_explicit_histograms_have_classic_buckets_only() -> None:
    value = HistogramValue((0.1, 1.0), (1, 0, 2), 7.25, 3, (EXEMPLAR,))
    held = one("h", Type.HISTOGRAM, Row((), value, 9)).metric[0].histogram
    assert [(one.upper_bound, one.cumulative_count) for one in held.bucket] == [(0.1, 1), (1.0, 1), (math.inf, 3)]
    assert [one.HasField("exemplar") for one in held.bucket] == [False, False, True]
    assert (held.sample_count, held.sample_sum, held.created_timestamp.nanos) == (3, 7.25, 9)
    assert not held.HasField("schema")
    assert not held.HasField("zero_threshold")


def test_exponential_histograms_are_native_with_classic_buckets_beside() -> None:
    """A scraper that was not told to take native ones still gets its percentiles."""
    value = ExponentialValue(12, 2, 0.25, 100, (1, 2), 5, (4,), 3.5, 9, (EXEMPLAR, Exemplar(1.0, 0)))
    family = Family("h", Kind.EXPONENTIAL, "s", series=(Series((("a", "b"),), value, 11),))
    metrics, problems = exposition([family], (), (), (), lambda _: Rule.LAST)
    assert not problems
    (made,) = parse_protobuf(protobuf.render(metrics))
    assert (made.name, made.type, made.unit) == ("h_seconds", HISTOGRAM, "seconds")
    held = made.metric[0].histogram
    assert (held.schema, held.zero_threshold, held.zero_count) == (8, 0.25, 2)
    assert [(one.offset, one.length) for one in held.positive_span] == [(7, 1)]
    assert list(held.positive_delta) == [3]
    assert [(one.offset, one.length) for one in held.negative_span] == [(1, 1)]
    assert list(held.negative_delta) == [4]
    assert (held.sample_count, held.sample_sum) == (9, 3.5)
    assert held.bucket[-1].cumulative_count == 9
    assert [one.value for one in held.exemplars] == [5.0]


def test_a_view_of_an_exponential_histogram_is_native_too() -> None:
    """Series that become one are added up in both shapes."""
    one, two = (ExponentialValue(scale, 0, 0.0, 0, (2,), 0, (), 3.0, 2) for scale in (1, 2))
    family = Family("h", Kind.EXPONENTIAL, series=(Series((("a", "1"),), one), Series((("a", "2"),), two)))
    metrics, _ = exposition([family], (View(metric="h", name="old", labels={}),), (), (), lambda _: Rule.SUM)
    held = {family.name: family for family in parse_protobuf(protobuf.render(metrics))}["old"].metric[0].histogram
    assert (held.schema, list(held.positive_delta), held.sample_count) == (1, [4], 4)
    assert held.bucket[-1].cumulative_count == 4


def test_a_scale_without_a_schema_has_classic_buckets_alone() -> None:
    value = ExponentialValue(-6, 0, 0.0, 0, (3,), 0, (), 3.5, 3)
    metrics, _ = exposition(
        [Family("h", Kind.EXPONENTIAL, series=(Series((), value),))], (), (), (), lambda _: Rule.SUM
    )
    held = parse_protobuf(protobuf.render(metrics))[0].metric[0].histogram
    assert not held.HasField("schema")
    assert held.bucket[-1].cumulative_count == 3


def test_a_unit_is_named_only_where_the_name_ends_in_it() -> None:
    """Prometheus refuses the whole scrape otherwise."""
    row = Row((), 1)
    assert one("latency_ms", Type.GAUGE, row, unit="milliseconds").unit == ""
    assert one("x_seconds_total", Type.COUNTER, row, unit="seconds").unit == "seconds"
    assert one("x_seconds_info", Type.INFO, row, unit="info").unit == ""


def test_a_sum_that_is_not_recorded_is_not_zero() -> None:
    value = HistogramValue((1.0,), (1, 1), math.nan, 2)
    assert math.isnan(one("h", Type.HISTOGRAM, Row((), value)).metric[0].histogram.sample_sum)


def test_what_does_not_fit_its_type_is_an_error() -> None:
    with pytest.raises(TypeError, match="h: a histogram with a int"):
        protobuf.render([Metric("h", Type.HISTOGRAM, "", "", (Row((), 1),))])


VALUES: dict[Type, st.SearchStrategy[Value]] = {
    Type.COUNTER: st.integers(0, 2**53) | st.floats(0, 1e300),
    Type.GAUGE: st.integers(-(2**53), 2**53) | st.floats(allow_nan=False),
    Type.HISTOGRAM: st.lists(st.integers(0, 2**40), min_size=3, max_size=3).map(
        lambda counts: HistogramValue((0.5, 2.0), tuple(counts), float(sum(counts)), sum(counts))
    ),
    Type.SUMMARY: st.builds(SummaryValue, st.floats(0, 1e300), st.integers(0, 2**53)),
}
LABELS = st.dictionaries(st.sampled_from(["a", "b_c", "über"]), st.text(min_size=1, max_size=6), max_size=3)


@given(st.sampled_from(list(VALUES)).flatmap(lambda kind: st.tuples(st.just(kind), VALUES[kind], LABELS)))
@settings(deadline=None, max_examples=150)
def test_protobuf_and_openmetrics_say_the_same(made: tuple[Type, Value, dict[str, str]]) -> None:
    kind, value, labels = made
    name = "x_total" if kind is Type.COUNTER else "x"
    metric = Metric(name, kind, "", "", (Row(tuple(sorted(labels.items())), value),))
    text = openmetrics.render([metric]).decode()
    parsed: Samples = {
        (sample.name, tuple(sorted((k, v if k != "le" else str(float(v))) for k, v in sample.labels.items()))): (
            sample.value
        )
        for family in parse_openmetrics(text)
        for sample in family.samples
    }
    assert samples(protobuf.render([metric])) == parsed
