"""The queue keeps order, bounds memory, and knows what is under way."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.batch import Batch, Signal
from sidecar.relay.queue import Entry, Queue


def batch(size: int, signal: Signal = Signal.TRACES, items: int = 1) -> Batch:
    return Batch(signal, bytes(size), items, 0)


def test_the_oldest_goes_first_joined_with_its_own_signal_only() -> None:
    queue = Queue(1 << 20)
    for at, signal in enumerate([Signal.LOGS, Signal.TRACES, Signal.LOGS, Signal.TRACES]):
        queue.put(batch(10, signal), float(at))
    assert [(entry.batch.signal, entry.since) for entry in queue.take(1000)] == [("logs", 0), ("logs", 2)]
    assert [(entry.batch.signal, entry.since) for entry in queue.take(1000)] == [("traces", 1), ("traces", 3)]
    assert not queue


def test_joins_stay_below_the_bound_but_for_a_single_large_one() -> None:
    queue = Queue(1 << 20)
    for size in (600, 400, 1, 5000, 1):
        queue.put(batch(size), 0.0)
    assert [[len(entry.batch.body) for entry in queue.take(1000)] for _ in range(4)] == [[600, 400], [1], [5000], [1]]


def test_tiny_requests_are_bounded_too() -> None:
    """What the objects around a body cost counts."""
    queue = Queue(10_000)
    count = 0
    while queue.has_room(batch(1)):
        queue.put(batch(1), 0.0)
        count += 1
    assert count == 33


def test_what_is_larger_than_the_queue_never_fits() -> None:
    assert not Queue(1000).fits(batch(1000))
    assert Queue(1300).fits(batch(1000))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(st.integers(0, 500), st.none(), st.just(-1)), max_size=60))
def test_room_is_given_back_exactly(steps: list[int | None]) -> None:
    """Numbers put a batch, None takes, -1 releases what was taken; held never exceeds the limit or drifts."""
    queue = Queue(5_000)
    taken: list[list[Entry]] = []
    waiting = 0
    for step in steps:
        if step is None:
            if queue:
                taken.append(queue.take(800))
                waiting -= len(taken[-1])
        elif step == -1:
            if taken:
                done = taken.pop()
                queue.release(done)
                queue.settle(Signal.TRACES, len(done))
        elif queue.has_room(batch(step)):
            queue.put(batch(step), 0.0)
            waiting += 1
        assert 0 <= queue.waiting <= queue.held <= queue.limit
        assert bool(queue) == (waiting > 0)
        assert queue.items(Signal.TRACES) == waiting + sum(map(len, taken))
    while queue:
        taken.append(queue.take(800))
    for done in taken:
        queue.release(done)
    assert (queue.held, queue.waiting) == (0, 0)
