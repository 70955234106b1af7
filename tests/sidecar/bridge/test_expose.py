"""A scrape never shows two truths under one name, and one bad metric costs itself alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.bridge import openmetrics, text
from sidecar.bridge.expose import exposition
from sidecar.bridge.model import Attributes, ExponentialValue, Family, HistogramValue, Kind, Series, SummaryValue, Value
from sidecar.bridge.points import Problem
from sidecar.bridge.prom import Metric, Type
from sidecar.bridge.rules import Rule
from sidecar.contract import View
from tests.support.prometheus import parse_openmetrics, parse_text


def family(
    name: str, kind: Kind, value: Value, *, unit: str = "", help_: str = "", scope: str = "", **attributes: str
) -> Family:
    series = Series(tuple(sorted(attributes.items())), value)
    return Family(name, kind, unit, help_, (series,), (scope, ""))


def shown(
    *families: Family, views: Sequence[View] = (), own: Sequence[Family] = (), resource: Attributes = ()
) -> tuple[dict[str, Metric], list[Problem]]:
    metrics, problems = exposition(families, views, resource, own, lambda _: Rule.LAST)
    assert [metric.name for metric in metrics] == sorted(metric.name for metric in metrics)
    return {metric.name: metric for metric in metrics}, list(problems)


def values(metric: Metric) -> dict[Attributes, Value]:
    return {row.labels: row.value for row in metric.rows}


def test_views_stand_beside_canonical_names() -> None:
    made, problems = shown(
        family("ml.predictions", Kind.COUNTER, 3, scope="lib", cls="cat"),
        views=[View(metric="ml.predictions", name="cats_total", labels={}), View(metric="none", name="y")],
    )
    assert values(made["ml_predictions_total"]) == {(("cls", "cat"), ("otel_scope_name", "lib")): 3}
    assert values(made["cats_total"]) == {(): 3}
    assert not problems
    assert "y" not in made


def test_a_view_that_takes_the_canonical_name_stands_for_it() -> None:
    """Both together would count twice."""
    made, problems = shown(
        family("ml.predictions", Kind.COUNTER, 3, cls="cat"),
        views=[View(metric="ml.predictions", name="ml_predictions_total", labels={})],
    )
    assert values(made["ml_predictions_total"]) == {(): 3}
    assert not problems


def test_a_view_keeps_its_name_against_another_metric() -> None:
    made, problems = shown(
        family("cats", Kind.COUNTER, 1), family("dogs", Kind.COUNTER, 2), views=[View(metric="dogs", name="cats_total")]
    )
    assert values(made["cats_total"]) == {(): 2}
    assert [(one.reason, one.metric) for one in problems] == [("name_conflict", "cats_total")]


def test_a_refused_view_leaves_the_rest() -> None:
    made, problems = shown(family("a", Kind.COUNTER, 1), views=[View(metric="a", name="b", read="count")])
    assert list(made) == ["a_total"]
    assert [(one.reason, one.metric) for one in problems] == [("view_not_exact", "b")]


def test_one_name_of_two_scopes_is_one_metric() -> None:
    made, problems = shown(
        family("a", Kind.COUNTER, 1, scope="x", help_="First."),
        family("a", Kind.COUNTER, 2, scope="y", help_="Second."),
    )
    assert values(made["a_total"]) == {(("otel_scope_name", "x"),): 1, (("otel_scope_name", "y"),): 2}
    assert made["a_total"].help == "First."
    assert [one.reason for one in problems] == ["comment_conflict"]


def test_no_description_contradicts_none() -> None:
    made, problems = shown(
        family("a", Kind.COUNTER, 1, scope="x"), family("a", Kind.COUNTER, 2, scope="y", help_="Second.")
    )
    assert (made["a_total"].help, problems) == ("Second.", [])
    assert shown(family("a", Kind.COUNTER, 1))[0]["a_total"].help == "Its source gives no description."


def test_type_conflicts_drop_the_later_metric() -> None:
    made, problems = shown(family("a", Kind.GAUGE, 1), family("a", Kind.HISTOGRAM, HistogramValue((), (1,), 1, 1)))
    assert made["a"].type is Type.GAUGE
    assert problems[0].detail == "histogram a left out beside gauge a: they would share sample names"


def test_sample_names_of_a_histogram_are_taken() -> None:
    made, problems = shown(
        family("a", Kind.HISTOGRAM, HistogramValue((), (1,), 1, 1)), family("a.count", Kind.GAUGE, 1)
    )
    assert list(made) == ["a"]
    assert problems[0].metric == "a_count"


@pytest.mark.parametrize("kind", [Kind.HISTOGRAM, Kind.SUMMARY])
@pytest.mark.parametrize("first", [0, 1])
def test_the_creation_time_of_a_histogram_or_summary_is_taken(kind: Kind, first: int) -> None:
    """prometheus_client took the two for one family and lost the whole scrape."""
    value = HistogramValue((), (1,), 1, 1) if kind is Kind.HISTOGRAM else SummaryValue(1.0, 1)
    pair = [family("foo", kind, value), family("foo.created", Kind.GAUGE, 1)]
    made, problems = shown(pair[first], pair[1 - first])
    assert list(made) == [("foo", "foo_created")[first]]
    assert [one.reason for one in problems] == ["name_conflict"]


def test_the_family_of_an_info_metric_is_taken() -> None:
    made, problems = shown(family("target", Kind.GAUGE, 1), resource=(("service.name", "cats"),))
    assert list(made) == ["target_info"]
    assert [one.metric for one in problems] == ["target"]


def test_a_counter_without_a_name_is_refused() -> None:
    made, problems = shown(family("\N{CAT}", Kind.COUNTER, 1), family("a", Kind.COUNTER, 1))
    assert list(made) == ["a_total"]
    assert [(one.reason, one.metric, one.points) for one in problems] == [("empty_name", "_total", 1)]


WORDS = ["foo", "foo.total", "foo.created", "foo.sum", "foo.count", "foo.bucket", "foo.info", "target", "\N{CAT}", "_"]
VALUES: dict[Kind, Value] = {
    Kind.COUNTER: 1,
    Kind.GAUGE: 1,
    Kind.HISTOGRAM: HistogramValue((1.0,), (1, 0), 0.5, 1),
    Kind.SUMMARY: SummaryValue(0.5, 1),
}


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(".".join), st.sampled_from(list(VALUES))
        ),
        max_size=6,
        unique=True,
    )
)
def test_whatever_metrics_are_called_both_formats_parse(metrics: list[tuple[str, Kind]]) -> None:
    """Of names that clash in either format one is left out."""
    families = [Family(name, kind, series=(Series((), VALUES[kind], 5),)) for name, kind in metrics]
    made, _ = exposition(families, (), (("service.name", "cats"),), (), lambda _: Rule.LAST)
    parse_text(text.render(made).decode())
    parse_openmetrics(openmetrics.render(made).decode())


def test_series_whose_labels_become_equal_add_up_or_the_first_stays() -> None:
    counter = Family("c", Kind.COUNTER, series=(Series((("a", "x;y"),), 1), Series((("a.", "x;y"),), 2)))
    gauge = Family("g", Kind.GAUGE, series=(Series((("a", "x"),), 1), Series((("a", "x"), ("b", "")), 2)))
    made, problems = shown(counter, gauge)
    assert sorted(values(made["c_total"])) == [(("a", "x;y"),), (("a_", "x;y"),)]
    assert values(made["g"]) == {(("a", "x"),): 1}
    assert [one.reason for one in problems] == ["same_labels"]
    twice = Family("c", Kind.COUNTER, series=(Series((("a", "x"),), 1), Series((("a", "x"), ("b", "")), 2)))
    assert values(shown(twice)[0]["c_total"]) == {(("a", "x"),): 3}


def test_the_sidecars_own_names_win() -> None:
    made, problems = shown(
        family("target.info", Kind.GAUGE, 5),
        family("own", Kind.GAUGE, 5),
        own=[family("own", Kind.GAUGE, 1)],
        resource=(("service.name", "cats"),),
    )
    assert values(made["target_info"]) == {(("service_name", "cats"),): 1}
    assert values(made["own"]) == {(): 1}
    assert sorted(one.metric for one in problems) == ["own", "target_info"]


def test_an_empty_resource_has_no_target_info() -> None:
    assert shown()[0] == {}


def test_exponential_histograms_get_the_same_buckets_in_all_series() -> None:
    low = ExponentialValue(0, 0, 0.0, -2, (1,), 0, (), 0.3, 1)
    high = ExponentialValue(3, 0, 0.0, 9, (1,), 0, (), 2.5, 1)
    source = Family("h", Kind.EXPONENTIAL, series=(Series((("a", "1"),), low), Series((("a", "2"),), high)))
    made = [row.value for row in shown(source)[0]["h"].rows]
    assert [value.bounds for value in made if isinstance(value, HistogramValue)] == [(0.25, 0.5, 1.0, 2.0, 4.0)] * 2


def test_one_bad_metric_never_costs_the_scrape() -> None:
    """A value that fits its kind nowhere: it is left out and named."""
    bad = Family("bad", Kind.COUNTER, series=(Series((), 1), Series((("x", ""),), HistogramValue((), (1,), 1, 1))))
    made, problems = shown(bad, family("good", Kind.COUNTER, 1))
    assert list(made) == ["good_total"]
    assert [(one.reason, one.metric) for one in problems] == [("unrenderable", "bad")]
