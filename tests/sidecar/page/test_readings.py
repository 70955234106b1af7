"""Looks are few, rates are of the last minute, and nobody looking costs nothing."""

from __future__ import annotations

from sidecar import semconv
from sidecar.bridge.model import ExponentialValue, Family, HistogramValue, Kind, Series, SummaryValue
from sidecar.page.readings import History, Look, Point, Reading, read

A = (("k", "a"),)
COUNTER = semconv.ML_PREDICTIONS
TIME = semconv.ML_STAGE_DURATION


def look(at_s: float, value: int = 0) -> Look:
    return Look(at_s, Reading({(COUNTER.name, A): value}), {})


def test_only_the_named_metrics_are_read() -> None:
    """Thousands of other series of the pod are not kept for the page."""
    families = [
        Family(COUNTER.name, Kind.COUNTER, series=(Series(A, 3), Series((), 4))),
        Family("other", Kind.COUNTER, series=(Series(A, 9),)),
    ]
    reading = read(families, frozenset({COUNTER.name}))
    assert list(reading.number(COUNTER)) == [({"k": "a"}, 3), ({}, 4)]
    assert reading.sum(COUNTER) == 7
    assert read(families, frozenset()) == Reading()


def test_every_kind_of_value_is_read_or_left_out() -> None:
    """Exponential histograms become explicit, two scopes' metrics are joined, summaries have no quantiles to show."""
    explicit = HistogramValue((1.0,), (2, 0), 1.0, 2)
    families = [
        Family(TIME.name, Kind.HISTOGRAM, series=(Series(A, explicit),), scope=("one", "")),
        Family(TIME.name, Kind.HISTOGRAM, series=(Series(A, explicit),), scope=("two", "")),
        Family("e", Kind.EXPONENTIAL, series=(Series(A, ExponentialValue(0, 0, 0.0, 0, (5,), 0, (), 7.0, 5)),)),
        Family("s", Kind.SUMMARY, series=(Series(A, SummaryValue(1.0, 1)),)),
    ]
    reading = read(families, frozenset({TIME.name, "e", "s"}))
    assert reading.histograms[TIME.name, A] == HistogramValue((1.0,), (4, 0), 2.0, 4)
    assert reading.histograms["e", A].count == 5
    assert len(reading.histograms) == 2


def test_what_was_added_between_two_readings() -> None:
    """New series count fully; one that began anew counts what it has."""
    before = Reading({("m", A): 10, ("m", ()): 7}, {("h", A): HistogramValue((1.0,), (2, 0), 1.0, 2)})
    now = Reading(
        {("m", A): 15, ("m", ()): 3, ("n", A): 2},
        {("h", A): HistogramValue((1.0,), (2, 3), 7.0, 5), ("h", ()): HistogramValue((1.0,), (1, 0), 1.0, 1)},
    )
    added = now.since(before)
    assert dict(added.numbers) == {("m", A): 5, ("m", ()): 3, ("n", A): 2}
    assert added.histograms["h", A] == HistogramValue((1.0,), (0, 3), 6.0, 3)
    assert added.histograms["h", ()].count == 1


def test_a_first_look_has_nothing_to_compare_with() -> None:
    """Rates need two looks some exports apart; until then there is nothing to divide."""
    history = History()
    first = look(100)
    assert history.base(first) is None
    assert history.base(look(102)) is None
    assert history.base(look(115)) is first


def test_rates_look_back_about_a_minute() -> None:
    """Someone who watches sees the last 60 to 90 seconds, however often the page is refreshed."""
    history = History()
    for at in range(0, 600, 2):
        now = look(at)
        base = history.base(now)
        if base:
            assert now.at_s - base.at_s <= 90
            assert now.at_s - base.at_s >= min(60, at)
    assert len(history._looks) < 12


def test_a_look_after_a_long_pause_starts_anew() -> None:
    """A rate over the two hours in which nobody looked would hide what happens now."""
    history = History()
    history.base(look(0))
    history.base(look(60))
    assert history.base(look(7200)) is None
    later = history.base(look(7220))
    assert later is not None
    assert later.at_s == 7200


def test_the_line_of_points_is_bounded_and_not_denser_than_useful() -> None:
    """Many viewers refreshing at once do not shorten what the sparkline shows."""
    history = History()
    points: tuple[Point, ...] = ()
    for tenth in range(10_000):
        points = history.line(Point(tenth / 10, tenth, 0, HistogramValue((), (0,), 0.0, 0)))
    assert len(points) == 150
    assert points[-1].at_s - points[0].at_s > 890
