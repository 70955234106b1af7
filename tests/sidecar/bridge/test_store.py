"""Memory stays bounded, and what is added up for good is never counted again."""

from __future__ import annotations

import pytest

from sidecar.bridge.entries import OVERFLOW, Limits
from sidecar.bridge.merge import families
from sidecar.bridge.model import Attributes, ExponentialValue, HistogramValue, Kind, SummaryValue, Value
from sidecar.bridge.points import Descriptor, Export, MetricPoints, Point, Scope
from sidecar.bridge.store import Store
from sidecar.bridge.tombstones import Tombstones
from sidecar.bridge.values import add, subtract

SECOND = 1_000_000_000


def export(
    worker: str,
    time: int,
    values: dict[str, Value | None],
    *,
    start: int = 1,
    kind: Kind = Kind.COUNTER,
    name: str = "m",
    delta: bool = False,
) -> Export:
    points = tuple(Point((("k", key),) if key else (), start, time * SECOND, value) for key, value in values.items())
    return Export((("worker", worker),), (MetricPoints(Descriptor(Scope(), name, kind), "", delta, points),))


def offer(store: Store, time: int, *exports: Export) -> None:
    for one in exports:
        store.offer(one, time * SECOND)


def totals(store: Store, time: int = 10) -> dict[Attributes, Value]:
    store.sweep(time * SECOND)
    return {one.attributes: one.value for family in families(store, {}, time * SECOND)[0] for one in family.series}


def test_workers_add_up() -> None:
    store = Store()
    offer(store, 10, export("a", 10, {"x": 1, "y": 2}, start=1), export("b", 10, {"x": 10}, start=2))
    assert totals(store) == {(("k", "x"),): 11, (("k", "y"),): 2}
    assert (store.series, store.streams, store.tally.points) == (2, 3, 3)


class TestOverflow:
    """More series than allowed become one, and the total stays exact."""

    def test_the_rest_is_one_series(self) -> None:
        store = Store(Limits(series_per_metric=2))
        offer(store, 10, export("a", 10, {str(n): n for n in range(10)}))
        offer(store, 11, export("a", 11, {str(n): n + 1 for n in range(10)}))
        made = totals(store)
        assert made == {(("k", "0"),): 1, (("k", "1"),): 2, OVERFLOW: sum(range(3, 11))}
        assert store.tally.dropped == {}

    def test_repeated_late_and_split_exports_of_overflowed_streams_count_once(self) -> None:
        store = Store(Limits(series_per_metric=1))
        first, second = export("a", 10, {"x": 1, "y": 2, "z": 3}), export("a", 11, {"y": 5})
        offer(store, 10, first, second, first, export("a", 11, {"x": 1, "z": 4}))
        assert totals(store) == {(("k", "x"),): 1, OVERFLOW: 9}
        assert store.tally.dropped == {"duplicate": 2, "stale": 1}

    def test_two_workers_with_different_series_share_the_overflow(self) -> None:
        store = Store(Limits(series_per_metric=1))
        offer(store, 10, export("a", 10, {"x": 1, "y": 2}), export("b", 10, {"y": 4, "x": 8}, start=2))
        assert totals(store) == {(("k", "x"),): 9, OVERFLOW: 6}

    def test_the_pod_has_a_limit_too(self) -> None:
        store = Store(Limits(series=2))
        offer(store, 10, export("a", 10, {"x": 1}), export("a", 10, {"x": 1, "y": 2, "z": 3}, name="n"))
        assert totals(store) == {(("k", "x"),): 1, OVERFLOW: 5}

    def test_memory_is_bounded_under_a_leak(self) -> None:
        """Beyond the bound points are dropped and counted, never silently."""
        store = Store(Limits(series_per_metric=5, streams=50))
        offer(store, 10, export("a", 10, {str(n): 1 for n in range(500)}))
        assert (store.series, store.streams) == (6, 50)
        assert sum(value for value in totals(store).values() if isinstance(value, int)) == 50
        assert store.tally.dropped == {"stream_limit": 450}

    def test_metrics_are_bounded(self) -> None:
        store = Store(Limits(metrics=2))
        offer(store, 10, *(export("a", 10, {"": 1}, name=f"m{n}") for n in range(5)))
        assert len(store.metrics) == 2
        assert store.tally.dropped == {"metric_limit": 3}

    def test_gone_gauges_make_room(self) -> None:
        store = Store(Limits(series_per_metric=2))
        offer(store, 10, export("a", 10, {"x": 1, "y": 2}, kind=Kind.GAUGE))
        offer(store, 15, export("a", 15, {"y": 2}, kind=Kind.GAUGE))
        offer(store, 20, export("a", 20, {"y": 2}, kind=Kind.GAUGE))
        assert totals(store, 20) == {(("k", "y"),): 2}
        offer(store, 25, export("a", 25, {"y": 2, "z": 3}, kind=Kind.GAUGE))
        assert totals(store, 25) == {(("k", "y"),): 2, (("k", "z"),): 3}
        assert store.streams == 2


class TestDeadWorkers:
    """Counters stay, gauges go, and late points are placed or refused."""

    @pytest.mark.parametrize("kind", [Kind.GAUGE, Kind.UPDOWN])
    def test_levels_are_gone_within_two_intervals(self, kind: Kind) -> None:
        store = Store()
        for time in (10, 15, 20):
            offer(store, time, export("a", time, {"": 3}, kind=kind), export("b", time, {"": 4}, kind=kind, start=2))
        for time in (25, 30):
            offer(store, time, export("b", time, {"": 4}, kind=kind, start=2))
        assert totals(store, 30) == {(): 4}
        assert totals(store, 60) == {}

    def test_a_delta_level_counts_again_when_its_worker_comes_back(self) -> None:
        store = Store()
        for time in (10, 15):
            offer(store, time, export("a", time, {"": 2}, kind=Kind.UPDOWN, delta=True, start=(time - 5) * SECOND))
        assert totals(store, 40) == {}
        offer(store, 45, export("a", 45, {"": 1}, kind=Kind.UPDOWN, delta=True, start=15 * SECOND))
        assert totals(store, 45) == {(): 5}

    def test_gauges_of_a_delta_worker_stay_while_it_lives(self) -> None:
        """Its SDK mentions a gauge only when it was set."""
        store = Store()
        offer(store, 10, export("a", 10, {"g": 7}, kind=Kind.GAUGE))
        for time in (10, 15, 20, 25, 30):
            offer(store, time, export("a", time, {"": 1}, name="c", delta=True, start=(time - 5) * SECOND))
        assert totals(store, 30) == {(): 5, (("k", "g"),): 7}

    def test_late_points_of_a_dead_worker_are_placed(self) -> None:
        store = Store()
        offer(store, 10, export("a", 10, {"": 5}))
        store.sweep(10_000 * SECOND)
        offer(store, 10_001, export("a", 11, {"": 6}))
        assert totals(store, 10_001) == {(): 6}

    def test_beyond_the_bound_they_are_added_up_for_good_and_what_comes_late_is_exact(self) -> None:
        store = Store(Limits(dead_streams=3))
        for worker in range(10):
            offer(store, worker, export(f"w{worker}", worker + 1, {"": 1}, start=worker + 1))
        assert totals(store, 10_000) == {(): 10}
        assert (store.streams, len(store.tombstones.held)) == (3, 7)
        offer(store, 10_001, export("w0", 1, {"": 1}, start=1))
        assert totals(store, 10_001) == {(): 10}
        assert store.tally.dropped == {"duplicate": 1}
        offer(store, 10_001, export("w0", 2, {"": 4}, start=1), export("w1", 9, {"": 2}, start=2))
        assert totals(store, 10_001) == {(): 14}

    def test_without_tombstones_late_points_are_refused(self) -> None:
        store = Store(Limits(dead_streams=3, tombstone_bytes=0))
        for worker in range(10):
            offer(store, worker, export(f"w{worker}", worker + 1, {"": 1}, start=worker + 1))
        assert totals(store, 10_000) == {(): 10}
        offer(store, 10_001, export("w0", 1, {"": 1}, start=1))
        assert totals(store, 10_001) == {(): 10}
        assert store.tally.dropped == {"late": 1}

    def test_a_pause_adds_nobody_up_while_there_is_room(self) -> None:
        """12,000 streams that were silent for two intervals came back with a third of what they had counted."""
        store = Store(Limits(dead_streams=100))
        for time in (5, 10, 15):
            offer(store, time, export("a", time, {str(n): time for n in range(200)}))
        totals(store, 25)
        assert (store.streams, len(store.tombstones.held)) == (200, 0)
        offer(store, 26, export("a", 26, {str(n): 100 for n in range(200)}))
        assert set(totals(store, 26).values()) == {100}

    def test_dead_streams_make_room_for_new_ones(self) -> None:
        store = Store(Limits(streams=10))
        offer(store, 10, export("a", 10, {str(n): 1 for n in range(6)}))
        totals(store, 300)
        offer(store, 310, export("b", 310, {str(n): 1 for n in range(8)}, start=2))
        assert store.tally.dropped == {}
        offer(store, 311, export("a", 311, {str(n): 5 for n in range(6)}))
        assert sum(value for value in totals(store, 311).values() if isinstance(value, int)) == 14 + 2 * 4
        assert (store.streams, store.tally.dropped) == (10, {"stream_limit": 4})

    @pytest.mark.parametrize("place", [0, 1, 2, 3])
    @pytest.mark.parametrize("room", [0, 10_000])
    def test_a_worker_that_was_added_up_and_comes_back(self, place: int, room: int) -> None:
        """A suspended machine counts exactly; where memory was short, better one interval less than all twice."""
        kind, one, three, four = (
            (Kind.COUNTER, 1, 3, 4),
            (
                Kind.HISTOGRAM,
                HistogramValue((1.0,), (1, 0), 1, 1),
                HistogramValue((1.0,), (2, 1), 4, 3),
                HistogramValue((1.0,), (3, 1), 5, 4),
            ),
            (
                Kind.EXPONENTIAL,
                ExponentialValue(2, 0, 0.0, 5, (1,), 0, (), 1.0, 1),
                ExponentialValue(1, 1, 0.0, 2, (1, 1), 0, (), 4.0, 3),
                ExponentialValue(1, 1, 0.0, 2, (2, 1), 0, (), 5.0, 4),
            ),
            (Kind.SUMMARY, SummaryValue(1, 1), SummaryValue(4, 3), SummaryValue(5, 4)),
        )[place]
        store = Store(Limits(dead_workers=0, tombstone_bytes=room))
        values: list[Value] = [one, three, four]
        offer(store, 10, export("a", 10, {"": values[0]}, kind=kind))
        totals(store, 5000)
        for time, value in ((5010, values[1]), (5020, values[2])):
            offer(store, time, export("a", time, {"": value}, kind=kind))
        (seen,) = totals(store, 5020).values()
        added = add(values[0], subtract(values[2], values[0] if room else values[1]))
        assert seen == added
        assert store.tally.adopted == (0 if room else 1)
        offer(store, 5030, export("a", 5030, {"": values[0]}, kind=kind))  # and restarts without a new start
        (after,) = totals(store, 5030).values()
        assert after == add(added, values[0])

    @pytest.mark.parametrize(("room", "expected"), [(0, 12 + 1 + 1 + 2), (10_000, 7 + 10 + 2)])
    def test_workers_of_one_identity_come_back_each_for_itself(self, room: int, expected: int) -> None:
        """Also one that is new under that identity, and a point from before that comes only now."""
        store = Store(Limits(dead_workers=0, tombstone_bytes=room))
        offer(store, 10, export("pod", 10, {"": 5}, start=1), export("pod", 10, {"": 7}, start=2))
        totals(store, 5000)
        for time in (5010, 5020):
            for start, value in ((1, 6), (2, 9), (5005 * SECOND, 1)):
                offer(store, time, export("pod", time, {"": value + (time == 5020)}, start=start))
        offer(store, 5021, export("pod", 9, {"": 4}, start=1), export("pod", 9, {"": 4}, start=0))
        assert totals(store, 5021) == {(): expected}

    def test_deltas_of_a_worker_that_comes_back_all_count(self) -> None:
        store = Store(Limits(dead_workers=0))
        offer(store, 10, export("a", 10, {"": 5}, delta=True, start=5 * SECOND))
        totals(store, 5000)
        offer(store, 5010, export("a", 5010, {"": 2}, delta=True, start=10 * SECOND))
        offer(store, 5011, export("a", 10, {"": 5}, delta=True, start=5 * SECOND))
        assert totals(store, 5011) == {(): 7}

    def test_an_identity_that_restarts_after_it_was_added_up_counts_anew(self) -> None:
        store = Store(Limits(dead_workers=0))
        offer(store, 10, export("a", 10, {"": 5}))
        assert totals(store, 1000) == {(): 5}
        offer(store, 2000, export("a", 2000, {"": 2}, start=1999 * SECOND))
        assert totals(store, 2000) == {(): 7}

    def test_memory_is_bounded_when_nobody_scrapes(self) -> None:
        store = Store(Limits(dead_workers=3))
        for worker in range(50):
            offer(store, worker * 100, export(f"w{worker}", worker * 100, {"": 1}, start=worker))
        assert len(store.workers) < 10
        assert totals(store, 5000) == {(): 50}

    def test_tombstones_are_bounded(self) -> None:
        store = Store(Limits(dead_workers=0, tombstones=4))
        for worker in range(10):
            offer(store, 10, export(f"w{worker}", 10, {"": 1}, start=worker))
        assert totals(store, 10_000) == {(): 10}
        assert (len(store.folded), len(store.tombstones.held), len(store.workers), store.streams) == (4, 4, 0, 0)

    def test_tombstones_are_bounded_in_bytes_too(self) -> None:
        store = Store(Limits(dead_workers=0, tombstone_bytes=20_000))
        for worker in range(20):
            offer(store, 10, export(f"w{worker}", 10, {str(n): 1 for n in range(100)}, start=worker))
        totals(store, 10_000)
        assert 10_000 < store.tombstones.size <= 20_000
        assert len(store.folded) == 20 - len(store.tombstones.held)
        offer(store, 10_001, export("w0", 10_001, {"0": 9}), export("w19", 10_001, {"0": 9}, start=19))
        assert totals(store, 10_001)[("k", "0"),] == 20 + 8
        assert (store.tally.adopted, store.workers[("worker", "w0"),].adopted) == (1, 1)

    def test_a_worker_that_was_given_up_once_is_never_counted_twice(self) -> None:
        """What it had beyond what came back is in the base; its tombstone of later does not know it."""
        store = Store(Limits(dead_workers=0, tombstone_bytes=0))
        offer(store, 10, export("a", 10, {"x": 5, "y": 7}))
        totals(store, 1000)
        store.tombstones = Tombstones(10_000, 10)
        offer(store, 2000, export("a", 2000, {"x": 6}))
        totals(store, 3000)
        offer(store, 3001, export("a", 9, {"y": 7}), export("a", 3001, {"x": 8, "y": 9}))
        assert totals(store, 3001) == {(("k", "x"),): 5 + 2, (("k", "y"),): 7}
        offer(store, 3002, export("a", 3002, {"x": 8, "y": 10}))
        assert totals(store, 3002) == {(("k", "x"),): 7, (("k", "y"),): 8}

    def test_a_stream_of_the_overflow_series_comes_back_there(self) -> None:
        store = Store(Limits(dead_workers=0, series_per_metric=1))
        offer(store, 10, export("a", 10, {"x": 1, "y": 2, "z": 3}))
        totals(store, 1000)
        offer(store, 1001, export("a", 1001, {"x": 2, "y": 4, "z": 6, "new": 1}))
        assert totals(store, 1001) == {(("k", "x"),): 2, OVERFLOW: 11}

    def test_gauges_of_folded_workers_leave_nothing(self) -> None:
        store = Store(Limits(dead_workers=0))
        offer(store, 10, export("a", 10, {"": 5}, kind=Kind.UPDOWN, delta=True))
        assert totals(store, 1000) == {}
        assert (store.series, store.streams) == (0, 0)


class TestIdentity:
    """Two processes under one identity, and one past under two identities, are noticed."""

    def test_processes_that_share_an_identity_add_up_and_are_reported(self) -> None:
        store = Store()
        offer(store, 10, export("pod", 10, {"": 5}, start=1 * SECOND), export("pod", 11, {"": 3}, start=2 * SECOND))
        offer(store, 15, export("pod", 15, {"": 6}, start=1 * SECOND), export("pod", 16, {"": 4}, start=2 * SECOND))
        assert totals(store, 16) == {(): 10}
        assert [worker.shared for worker in store.workers.values()] == [True]

    def test_a_restart_under_the_same_identity_is_not_reported(self) -> None:
        store = Store()
        offer(store, 10, export("pod", 10, {"": 5}, start=1 * SECOND), export("pod", 20, {"": 3}, start=12 * SECOND))
        assert totals(store, 20) == {(): 8}
        assert [worker.shared for worker in store.workers.values()] == [False]

    def test_one_start_under_several_identities_is_a_fork(self) -> None:
        """FACTS, traps: parent 5, two forks → 6, 5, 5 with the same start; from OTLP alone it cannot be undone."""
        store = Store()
        offer(store, 10, export("parent", 10, {"": 5}), export("one", 10, {"": 6}), export("two", 10, {"": 5}))
        assert [worker.ghost for worker in store.workers.values()] == [False, True, True]

    def test_separate_starts_are_no_fork(self) -> None:
        store = Store()
        offer(store, 10, export("a", 10, {"": 5}, start=1), export("b", 10, {"": 6}, start=2))
        assert not any(worker.ghost for worker in store.workers.values())


def test_a_point_without_a_time_counts_from_when_it_came() -> None:
    store = Store()
    offer(store, 10, export("a", 0, {"": 5}))
    offer(store, 20, export("a", 0, {"": 6}))
    assert totals(store, 20) == {(): 6}


def test_a_gauge_ends_when_its_source_says_so_and_a_counter_stays() -> None:
    store = Store()
    offer(store, 10, export("a", 10, {"": 5}, kind=Kind.GAUGE), export("a", 10, {"": 7}, name="c"))
    offer(store, 11, export("a", 11, {"": None}, kind=Kind.GAUGE), export("a", 11, {"": None}, name="c"))
    assert totals(store, 11) == {(): 7}


def test_resets_are_counted() -> None:
    store = Store()
    offer(store, 10, export("a", 10, {"": 5}), export("a", 11, {"": 2}))
    assert store.tally.resets == 1
