"""A worker's own rhythm says when it is dead."""

from __future__ import annotations

import pytest

from sidecar.bridge.workers import DEFAULT_INTERVAL_NS, SECOND, Rhythm, shared_attributes, usual_interval_ns


def heard(*times_s: float) -> Rhythm:
    rhythm = Rhythm()
    for time in times_s:
        rhythm.hear(int(time * SECOND), int(time * SECOND))
    return rhythm


@pytest.mark.parametrize(
    ("times", "interval_s"),
    [
        ((100,), None),
        ((100, 105), 5),
        ((100, 105, 110, 115), 5),
        ((100, 100.01, 105, 105.01, 110), 5),  # split exports
        ((100, 105, 106, 111, 116, 121), 5),  # a flush
        ((100, 105, 115, 120, 125), 5),  # a lost export
        ((100, 99, 105), 5),  # a late one
        ((100, 9000, 9005), 5),  # a suspended machine
        ((100, 101, 106), 5),  # a flush before the rhythm is known
    ],
)
def test_the_interval_is_learnt(times: tuple[float, ...], interval_s: float | None) -> None:
    interval = heard(*times).interval_ns()
    assert (interval and round(interval / SECOND, 1)) == interval_s


def test_gauges_are_gone_within_two_intervals_and_one_may_be_late() -> None:
    silence = heard(100, 105, 110).silence_ns(DEFAULT_INTERVAL_NS)
    assert 1.5 * 5 * SECOND < silence < 2 * 5 * SECOND


def test_a_worker_heard_once_is_judged_by_the_slowest_around_it() -> None:
    rhythms = [heard(1), heard(100, 105), heard(100, 110)]
    assert usual_interval_ns(rhythms) == 10 * SECOND
    assert usual_interval_ns([heard(1)]) == DEFAULT_INTERVAL_NS


def test_nobody_is_dead_at_once() -> None:
    assert heard(100, 100.5, 101).silence_ns(DEFAULT_INTERVAL_NS) == 2 * SECOND


def test_shared_attributes_are_those_that_name_the_service() -> None:
    """One worker or four: the same target_info."""
    first = (
        ("process.pid", "1"),
        ("process.runtime.name", "cpython"),
        ("service.instance.id", "a"),
        ("service.name", "x"),
    )
    second = (
        ("process.pid", "2"),
        ("process.runtime.name", "cpython"),
        ("service.instance.id", "b"),
        ("service.name", "x"),
    )
    alone = shared_attributes([first])
    assert alone == shared_attributes([first, second]) == (("process.runtime.name", "cpython"), ("service.name", "x"))
    assert shared_attributes([]) == ()
