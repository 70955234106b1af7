"""Families are the pod's truth: right rules, right bounds, and no total that falls by a rounding."""

from __future__ import annotations

import pytest

from sidecar.bridge.entries import Limits
from sidecar.bridge.merge import EXEMPLAR_AGE_NS, combine, families
from sidecar.bridge.model import Attributes, Exemplar, Family, HistogramValue, Kind, SummaryValue, Value
from sidecar.bridge.points import Descriptor, Export, MetricPoints, Point, Problem, Scope
from sidecar.bridge.rules import Rule, rule_for
from sidecar.bridge.store import Store

NOW = 10**18
SECOND = 1_000_000_000


def offer(
    store: Store,
    worker: str,
    value: Value,
    *,
    start: int = 1,
    time: int = NOW,
    kind: Kind = Kind.COUNTER,
    name: str = "m",
    exemplars: tuple[Exemplar, ...] = (),
    attributes: Attributes = (),
) -> None:
    points = MetricPoints(
        Descriptor(Scope("lib", "1"), name, kind, "s"),
        "Words.",
        False,
        (Point(attributes, start, time, value, exemplars),),
    )
    store.offer(Export((("w", worker),), (points,)), NOW)


def only(store: Store, declared: dict[str, Rule] | None = None) -> tuple[Family, list[Problem]]:
    store.sweep(NOW)
    made, problems = families(store, declared or {}, NOW)
    assert len(made) == 1
    return made[0], list(problems)


def test_a_family_says_what_the_workers_said() -> None:
    store = Store()
    offer(store, "a", 3, start=20)
    offer(store, "b", 4, start=10)
    family, problems = only(store)
    assert (family.name, family.kind, family.unit, family.description) == ("m", Kind.COUNTER, "s", "Words.")
    assert family.scope == ("lib", "1")
    assert [(one.attributes, one.value, one.start_ns) for one in family.series] == [((), 7, 10)]
    assert not problems


def test_large_integers_stay_exact() -> None:
    store = Store()
    offer(store, "a", 2**53 + 1)
    offer(store, "b", 2, start=2)
    assert only(store)[0].series[0].value == 2**53 + 3


def test_summaries_add_up() -> None:
    store = Store()
    offer(store, "a", SummaryValue(1.5, 2), kind=Kind.SUMMARY)
    offer(store, "b", SummaryValue(2.5, 3), kind=Kind.SUMMARY, start=2)
    assert only(store)[0].series[0].value == SummaryValue(4.0, 5)


@pytest.mark.parametrize(
    ("rule", "expected"), [(Rule.SUM, 9), (Rule.MAX, 5), (Rule.MIN, 1), (Rule.MEAN, 3.0), (Rule.LAST, 3)]
)
def test_gauge_rules(rule: Rule, expected: float) -> None:
    assert combine(rule, [(1, 5), (2, 1), (3, 3)]) == expected


@pytest.mark.parametrize(
    ("name", "kind", "rule"),
    [
        ("ml.model.loaded", Kind.GAUGE, Rule.MIN),
        ("ml.model.info", Kind.GAUGE, Rule.MAX),
        ("build.info", Kind.GAUGE, Rule.MAX),
        ("process.memory.usage", Kind.GAUGE, Rule.SUM),
        ("process.cpu.utilization", Kind.GAUGE, Rule.MEAN),
        ("process.uptime", Kind.GAUGE, Rule.MAX),
        ("process.memory.usage", Kind.UPDOWN, Rule.SUM),
        ("system.memory.usage", Kind.UPDOWN, Rule.LAST),
        ("drift", Kind.GAUGE, Rule.LAST),
        ("ml.predictions.active", Kind.UPDOWN, Rule.SUM),
    ],
)
def test_default_rules(name: str, kind: Kind, rule: Rule) -> None:
    assert rule_for(name, kind, {}) is rule
    assert rule_for(name, kind, {name: Rule.MIN}) is Rule.MIN


def test_the_declared_rule_is_used() -> None:
    store = Store()
    for worker, value in (("a", 2.0), ("b", 3.0)):
        offer(store, worker, value, kind=Kind.GAUGE, time=NOW - int(value))
    assert only(store)[0].series[0].value == 2.0
    assert only(store, {"m": Rule.SUM})[0].series[0].value == 5.0


def test_different_boundaries_meet_at_those_in_common_and_it_is_said() -> None:
    """Never mixed wrongly: every bucket that is shown is exact, in every series of the family."""
    store = Store()
    offer(store, "a", HistogramValue((0.1, 0.5, 1.0), (1, 2, 3, 4), 5.0, 10), kind=Kind.HISTOGRAM)
    offer(store, "b", HistogramValue((0.1, 1.0, 2.0), (1, 1, 1, 1), 5.0, 4), kind=Kind.HISTOGRAM, start=2)
    offer(
        store, "a", HistogramValue((0.1, 0.5, 1.0), (1, 0, 0, 0), 0.1, 1), kind=Kind.HISTOGRAM, attributes=(("x", "1"),)
    )
    family, problems = only(store)
    assert [one.value for one in family.series] == [
        HistogramValue((0.1, 1.0), (2, 6, 6), 10.0, 14),
        HistogramValue((0.1, 1.0), (1, 0, 0), 0.1, 1),
    ]
    assert problems == [
        Problem(
            "mixed_bounds",
            "m",
            "workers use different bucket boundaries; shown at those in common [0.1, 1.0], without [0.5, 2.0]",
            0,
        )
    ]


def test_a_total_does_not_fall_by_a_rounding_when_a_worker_is_added_up() -> None:
    """0.1 + 0.2 + 0.3 depends on the order in its last place; Prometheus would count the whole total again."""
    values = [0.1, 0.2, 0.3, 0.7, 1e-9, 3.3]
    store = Store(Limits(dead_workers=0))
    for place, number in enumerate(values):
        offer(store, str(place), HistogramValue((), (1,), number, 1), kind=Kind.HISTOGRAM, start=place + 1)
    seen: list[float] = []
    for place in (5, 3, 1, 4, 2, 0):
        value = only(store)[0].series[0].value
        assert isinstance(value, HistogramValue)
        seen.append(value.sum)
        worker = store.workers[("w", str(place)),]
        worker.rhythm.heard_ns = 0
    store.sweep(NOW)
    made = families(store, {}, NOW)[0][0].series[0].value
    assert isinstance(made, HistogramValue)
    seen.append(made.sum)
    assert seen == sorted(seen)
    assert not store.workers


def test_a_sum_of_negative_values_may_fall() -> None:
    store = Store()
    offer(store, "a", HistogramValue((), (1,), 5.0, 1), kind=Kind.HISTOGRAM)
    only(store)
    offer(store, "a", HistogramValue((), (2,), 1.0, 2), kind=Kind.HISTOGRAM, time=NOW + 1)
    value = only(store)[0].series[0].value
    assert isinstance(value, HistogramValue)
    assert value.sum == 1.0


def test_exemplars_are_the_newest_per_bucket_and_old_ones_leave() -> None:
    store = Store()
    old = Exemplar(5.0, NOW - EXEMPLAR_AGE_NS - 1, "old")
    for worker, time in (("a", NOW - 9), ("b", NOW - 3)):
        value = HistogramValue((1.0,), (1, 1), 1.0, 2, (Exemplar(0.5, time, worker), old))
        offer(store, worker, value, kind=Kind.HISTOGRAM, start=time)
    made = only(store)[0].series[0].value
    assert isinstance(made, HistogramValue)
    assert [one.trace_id for one in made.exemplars] == ["b"]


def test_a_counter_keeps_its_newest_exemplar() -> None:
    store = Store()
    offer(store, "a", 1, exemplars=(Exemplar(1.0, NOW - 5, "x"), Exemplar(1.0, NOW - 1, "y")))
    offer(store, "b", 1, start=2, exemplars=(Exemplar(1.0, NOW - 3, "z"),))
    assert [one.trace_id for one in only(store)[0].series[0].exemplars] == ["y"]


def test_one_metric_that_defies_the_arithmetic_costs_itself_alone() -> None:
    """A stream whose values are of two kinds cannot come from the decoder; a bug must not empty the scrape."""
    store = Store()
    offer(store, "a", 1, name="bad")
    offer(store, "b", SummaryValue(1.0, 1), name="bad", start=2)
    offer(store, "a", 1, name="good")
    store.sweep(NOW)
    made, problems = families(store, {}, NOW)
    assert [family.name for family in made] == ["good"]
    assert [(one.reason, one.metric) for one in problems] == [("unmergeable", "bad")]
