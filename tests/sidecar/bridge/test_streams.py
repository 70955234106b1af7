"""Which points continue a stream, restart it, repeat it or come too late."""

from __future__ import annotations

import pytest

from sidecar.bridge.model import HistogramValue, Kind, Value
from sidecar.bridge.points import Point
from sidecar.bridge.streams import MAX_INCARNATIONS, MAX_WINDOWS, Cumulative, Delta, Last, Outcome, Stream, begin

SECOND = 1_000_000_000
NOW = 1_000 * SECOND


def feed(stream: Stream, start: int, time: int, value: Value, received: int = NOW) -> Outcome:
    return stream.offer(Point((), start, time, value), value, received)


def cumulative(start: int, time: int, value: Value, *, monotonic: bool = True) -> Cumulative:
    return Cumulative(Point((), start, time, value), value, monotonic=monotonic)


CUMULATIVE: list[tuple[str, list[tuple[int, int, int]], list[Outcome], int]] = [
    ("newer", [(1, 20, 7)], [Outcome.CONTINUED], 7),
    ("repeated", [(1, 10, 5)], [Outcome.DUPLICATE], 5),
    ("older time", [(1, 9, 4)], [Outcome.STALE], 5),
    ("newer start: what was is kept", [(15, 20, 2)], [Outcome.RESET], 7),
    ("same start, lower: what was is kept", [(1, 20, 2)], [Outcome.RESET], 7),
    ("an export of before such a reset repeats", [(1, 20, 2), (1, 10, 5)], [Outcome.RESET, Outcome.STALE], 7),
    ("older start, unseen: its own count", [(0, 20, 7)], [Outcome.CONTINUED], 7),
    (
        "late export of the incarnation before: only what it adds",
        [(15, 20, 2), (1, 12, 6)],
        [Outcome.RESET, Outcome.CONTINUED],
        8,
    ),
    (
        "late and repeated export of the incarnation before",
        [(15, 20, 2), (1, 10, 5)],
        [Outcome.RESET, Outcome.DUPLICATE],
        7,
    ),
    (
        "two processes of one identity",
        [(5, 11, 1), (1, 20, 6), (5, 21, 3), (1, 30, 9)],
        [Outcome.RESET, Outcome.INTERLEAVED, Outcome.CONTINUED, Outcome.INTERLEAVED],
        12,
    ),
]


@pytest.mark.parametrize(
    ("points", "outcomes", "total"), [case[1:] for case in CUMULATIVE], ids=[c[0] for c in CUMULATIVE]
)
def test_cumulative_points(points: list[tuple[int, int, int]], outcomes: list[Outcome], total: int) -> None:
    """From (start 1, time 10, value 5)."""
    stream = cumulative(1, 10, 5)
    assert [feed(stream, *point) for point in points] == outcomes
    assert stream.total() == total


def test_a_start_time_that_is_told_late_is_no_restart() -> None:
    stream = cumulative(0, 10, 5)
    assert feed(stream, 3, 20, 8) is Outcome.CONTINUED
    assert (stream.total(), stream.start_ns) == (8, 3)


def test_a_source_without_start_times_restarts_when_its_value_falls() -> None:
    stream = cumulative(0, 10, 5)
    assert feed(stream, 0, 20, 1) is Outcome.RESET
    assert stream.total() == 6


def test_points_survive_a_clock_that_is_set_back() -> None:
    """The stored time lies in the receiver's future, so it proves nothing; without this an hour would be lost."""
    hour = 3600 * SECOND
    stream = cumulative(1, NOW + hour, 5)
    assert feed(stream, 1, NOW, 6, received=NOW) is Outcome.CONTINUED
    gauge = Last(Point((), 0, NOW + hour, 1), 1)
    assert feed(gauge, 0, NOW, 2, received=NOW) is Outcome.CONTINUED


def test_a_histogram_resets_when_one_bucket_falls() -> None:
    stream = cumulative(1, 10, HistogramValue((1.0,), (3, 3), 0, 6))
    assert feed(stream, 1, 20, HistogramValue((1.0,), (9, 1), 0, 10)) is Outcome.RESET
    assert stream.total() == HistogramValue((1.0,), (12, 4), 0, 16)


def test_restarts_beyond_what_is_told_apart_are_still_counted() -> None:
    stream = cumulative(1, 2, 1)
    for start in range(2, 60):
        feed(stream, start * 10, start * 10 + 1, 1)
    assert stream.total() == 59
    assert len(stream.earlier) < MAX_INCARNATIONS
    assert feed(stream, 1, 5, 9) is Outcome.STALE
    assert stream.total() == 59


class TestLevels:
    """Up-down counters show what is, not what was."""

    def test_a_restarted_process_takes_its_share_with_it(self) -> None:
        stream = cumulative(1, 10, 5, monotonic=False)
        feed(stream, 15, 20, 2)
        assert stream.level(within_ns=100) == 2

    def test_going_down_is_no_reset(self) -> None:
        stream = cumulative(1, 10, 5, monotonic=False)
        assert feed(stream, 1, 20, -3) is Outcome.CONTINUED
        assert stream.level(within_ns=100) == -3

    def test_two_processes_of_one_identity_add_up_while_both_report(self) -> None:
        stream = cumulative(1, 10, 5, monotonic=False)
        feed(stream, 8, 12, 2)
        feed(stream, 1, 20, 4)
        assert stream.level(within_ns=100) == 6
        feed(stream, 8, 200, 2)
        assert stream.level(within_ns=100) == 2


class TestDelta:
    """Every window counts once, in whatever order."""

    def test_windows_in_any_order_add_up(self) -> None:
        stream = Delta(Point((), 20, 30, 3), 3)
        assert feed(stream, 0, 10, 1) is Outcome.CONTINUED
        assert feed(stream, 10, 20, 2) is Outcome.CONTINUED
        assert feed(stream, 10, 20, 2) is Outcome.DUPLICATE
        assert stream.total() == stream.level(0) == 6

    def test_overlapping_windows_are_of_two_processes(self) -> None:
        stream = Delta(Point((), 10, 20, 1), 1)
        assert feed(stream, 15, 25, 1) is Outcome.INTERLEAVED
        assert stream.total() == 2

    def test_windows_older_than_memory_are_refused(self) -> None:
        """They might have been counted."""
        stream = Delta(Point((), 0, 1, 1), 1)
        for time in range(1, MAX_WINDOWS + 5):
            feed(stream, time, time + 1, 1)
        total = stream.total()
        assert feed(stream, 0, 1, 1) is Outcome.STALE
        assert stream.total() == total


class TestLast:
    """Of a gauge the newest point counts."""

    def test_older_points_do_not(self) -> None:
        stream = Last(Point((), 0, 10, 1.5), 1.5)
        assert feed(stream, 0, 9, 7) is Outcome.STALE
        assert feed(stream, 0, 10, 7) is Outcome.DUPLICATE
        assert feed(stream, 0, 11, 7) is Outcome.CONTINUED
        assert stream.total() == stream.level(0) == 7


def test_the_kind_and_temporality_choose_the_rules() -> None:
    point = Point((), 0, 1, 1)
    assert isinstance(begin(Kind.GAUGE, point, 1, delta=False), Last)
    assert isinstance(begin(Kind.COUNTER, point, 1, delta=True), Delta)
    level = begin(Kind.UPDOWN, point, 1, delta=False)
    assert isinstance(level, Cumulative)
    assert not level.monotonic
