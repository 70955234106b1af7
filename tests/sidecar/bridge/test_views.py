"""A view shows a metric's true numbers under another name, or says why it cannot."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.bridge.model import Exemplar, ExponentialValue, Family, HistogramValue, Kind, Series, SummaryValue, Value
from sidecar.bridge.prom import Metric, Type
from sidecar.bridge.rules import Rule
from sidecar.bridge.views import NotExactError, apply, status_class
from sidecar.contract import Label, View

SECONDS = HistogramValue((0.05, 0.07, 0.3), (1, 2, 3, 4), 2.5, 10, (Exemplar(0.07, 1, "a" * 32),))


def family(kind: Kind, *rows: tuple[dict[str, str], Value], unit: str = "", name: str = "m") -> Family:
    series = (Series(tuple(sorted(attributes.items())), value, 7) for attributes, value in rows)
    return Family(name, kind, unit, "Words.", tuple(series), ("lib", "1"))


def show(view: View, *families: Family, rule: Rule = Rule.LAST) -> Metric:
    return apply(view, families, lambda _: rule)


def rows(metric: Metric) -> dict[tuple[tuple[str, str], ...], Value]:
    return {row.labels: row.value for row in metric.rows}


REQUESTS = family(
    Kind.HISTOGRAM,
    ({"http.request.method": "GET", "http.route": "/a", "http.response.status_code": "200"}, SECONDS),
    ({"http.request.method": "GET", "http.route": "/a", "http.response.status_code": "204"}, SECONDS),
    ({"http.request.method": "POST", "http.route": "/b", "http.response.status_code": "500"}, SECONDS),
    ({"http.request.method": "POST", "http.response.status_code": "404"}, SECONDS),
    unit="s",
)


def test_a_histograms_count_is_a_counter_with_relabelled_status_classes() -> None:
    view = View(
        metric="m",
        name="http_requests_total",
        read="count",
        labels={
            "method": "http.request.method",
            "handler": Label(attribute="http.route", default="none"),
            "status": Label(attribute="http.response.status_code", as_="class"),
            "service": Label(value="cats"),
        },
    )
    made = show(view, REQUESTS)
    assert (made.type, made.name, made.unit, made.help) == (Type.COUNTER, "http_requests_total", "", "Words.")
    assert rows(made) == {
        (("handler", "/a"), ("method", "GET"), ("service", "cats"), ("status", "2xx")): 20,
        (("handler", "/b"), ("method", "POST"), ("service", "cats"), ("status", "5xx")): 10,
        (("handler", "none"), ("method", "POST"), ("service", "cats"), ("status", "4xx")): 10,
    }
    assert made.rows[0].start_ns == 7
    assert made.rows[0].exemplars[0].trace_id == "a" * 32


def test_seconds_become_milliseconds_with_the_boundaries_that_were_meant() -> None:
    """0.07 * 1000 is 70.00000000000001 in floats; the dashboards ask for le="70.0"."""
    made = show(View(metric="m", name="latency_ms", unit="ms", labels={}), REQUESTS)
    value = made.rows[0].value
    assert isinstance(value, HistogramValue)
    assert value.bounds == (50.0, 70.0, 300.0)
    assert (value.counts, value.count, value.sum) == ((4, 8, 12, 16), 40, 10_000.0)
    assert value.exemplars[0].value == 70
    assert made.unit == "milliseconds"


@given(st.lists(st.decimals(min_value="0.001", max_value="100", places=4), min_size=1, unique=True))
@settings(deadline=None, max_examples=60)
def test_converted_boundaries_are_exact_in_decimal(typed: list[object]) -> None:
    bounds = tuple(sorted(float(str(one)) for one in typed))
    value = HistogramValue(bounds, (0,) * (len(bounds) + 1), 0.0, 0)
    made = show(View(metric="m", name="x", unit="ms"), family(Kind.HISTOGRAM, ({}, value), unit="s")).rows[0].value
    assert isinstance(made, HistogramValue)
    back = show(View(metric="m", name="x", unit="s"), family(Kind.HISTOGRAM, ({}, made), unit="ms")).rows[0].value
    assert isinstance(back, HistogramValue)
    assert back.bounds == bounds
    assert all(round(bound, 1) == bound for bound in made.bounds)


def test_where_keeps_one_value_or_several() -> None:
    view = View(metric="m", name="x", read="count", labels={}, where={"http.request.method": "GET"})
    assert rows(show(view, REQUESTS)) == {(): 20}
    view = View(metric="m", name="x", read="count", labels={}, where={"http.response.status_code": ["200", "500"]})
    assert rows(show(view, REQUESTS)) == {(): 20}
    view = View(metric="m", name="x", read="count", labels={}, where={"http.request.method": "PUT"})
    assert show(view, REQUESTS).rows == ()


def test_without_labels_all_attributes_stay_and_the_scope_does_not() -> None:
    made = show(View(metric="m", name="x_total"), family(Kind.COUNTER, ({"a.b": "1"}, 5)))
    assert rows(made) == {(("a_b", "1"),): 5}


def test_values_can_be_renamed() -> None:
    view = View(metric="m", name="x", labels={"s": Label(attribute="o", map={"success": "ok"})})
    made = show(view, family(Kind.COUNTER, ({"o": "success"}, 5), ({"o": "error"}, 1)))
    assert rows(made) == {(("s", "ok"),): 5, (("s", "error"),): 1}


def test_a_histograms_sum_is_a_counter_in_the_wanted_unit() -> None:
    made = show(View(metric="m", name="x", read="sum", unit="ms", labels={}), REQUESTS)
    assert (made.type, made.unit, rows(made)) == (Type.COUNTER, "milliseconds", {(): 10_000})


def test_a_sum_that_is_not_recorded_is_left_out() -> None:
    value = HistogramValue((), (1,), math.nan, 1)
    assert show(View(metric="m", name="x", read="sum"), family(Kind.HISTOGRAM, ({}, value))).rows == ()


def test_summaries_convert_too() -> None:
    made = show(View(metric="m", name="x", unit="ms"), family(Kind.SUMMARY, ({}, SummaryValue(1.5, 3)), unit="s"))
    assert rows(made) == {(): SummaryValue(1500.0, 3)}


def test_series_of_several_scopes_are_one() -> None:
    one = family(Kind.COUNTER, ({"a": "1"}, 5))
    other = family(Kind.COUNTER, ({"a": "1"}, 2), ({"a": "2"}, 4))
    assert rows(show(View(metric="m", name="x"), one, other)) == {(("a", "1"),): 7, (("a", "2"),): 4}


def test_in_flight_counts_add_up_over_labels() -> None:
    active = family(Kind.UPDOWN, ({"m": "GET"}, 2), ({"m": "POST"}, 3))
    made = show(View(metric="m", name="x", labels={}), active, rule=Rule.SUM)
    assert (made.type, rows(made)) == (Type.GAUGE, {(): 5})


@pytest.mark.parametrize(("rule", "expected"), [(Rule.SUM, 5), (Rule.MIN, 2), (Rule.MAX, 3)])
def test_gauges_lose_labels_by_a_rule_that_allows_it(rule: Rule, expected: int) -> None:
    gauge = family(Kind.GAUGE, ({"m": "a"}, 2), ({"m": "b"}, 3))
    assert rows(show(View(metric="m", name="x", labels={}), gauge, rule=rule)) == {(): expected}


EXPONENTIAL = ExponentialValue(0, 0, 0.0, 0, (1,), 0, (), 1.5, 1)
REFUSED = [
    (
        View(metric="m", name="x", read="count"),
        [family(Kind.COUNTER, ({}, 1))],
        "read: count needs a histogram or summary; m is a counter",
    ),
    (
        View(metric="m", name="x", unit="By"),
        [family(Kind.COUNTER, ({}, 1), unit="s")],
        "unit 'By' cannot be had from m, whose unit is 's'",
    ),
    (
        View(metric="m", name="x", unit="ms"),
        [family(Kind.EXPONENTIAL, ({}, EXPONENTIAL), unit="s")],
        "m is an exponential histogram: its boundaries cannot be converted exactly",
    ),
    (
        View(metric="m", name="x"),
        [family(Kind.COUNTER, ({}, 1)), family(Kind.GAUGE, ({}, 1))],
        "m is both a counter in '' and a gauge in ''",
    ),
    (
        View(metric="m", name="x", labels={}),
        [family(Kind.GAUGE, ({"a": "1"}, 1), ({"a": "2"}, 2))],
        (
            "2 series of m would become one, but workers are merged by 'last', which says nothing across labels: keep "
            "the labels that tell them apart, or declare `merge: {m: sum}` (or min, max)"
        ),
    ),
    (
        View(metric="m", name="x", unit="d"),
        [family(Kind.HISTOGRAM, ({}, HistogramValue((5e-324, 1e-323), (0, 0, 0), 0, 0)), unit="ns")],
        "in d some boundaries of m become the same",
    ),
]


@pytest.mark.parametrize(("view", "families", "reason"), REFUSED)
def test_what_cannot_be_exact_is_refused_with_the_reason(view: View, families: list[Family], reason: str) -> None:
    with pytest.raises(NotExactError) as refusal:
        show(view, *families)
    assert str(refusal.value) == reason


def test_an_exponential_histogram_keeps_its_own_unit_and_can_be_counted() -> None:
    source = family(Kind.EXPONENTIAL, ({}, EXPONENTIAL), unit="s")
    assert rows(show(View(metric="m", name="x", unit="s"), source)) == {(): EXPONENTIAL}
    assert rows(show(View(metric="m", name="x", read="count"), source)) == {(): 1}


@pytest.mark.parametrize(
    ("code", "expected"), [("200", "2xx"), ("404", "4xx"), ("", ""), ("ok", "ok"), ("2000", "2000")]
)
def test_status_classes(code: str, expected: str) -> None:
    assert status_class(code) == expected
