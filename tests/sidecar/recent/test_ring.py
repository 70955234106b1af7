"""The ring's bound holds for any traffic, and what it keeps is always the newest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.batch import Batch, Signal
from sidecar.recent.ring import ENTRY_BYTES, Ring


def of_size(size: int, items: int = 1, number: int = 0) -> Batch:
    return Batch(Signal.TRACES, bytes(size), items, number)


@given(st.integers(0, 5000), st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 9)), max_size=60))
@settings(deadline=None, max_examples=60)
def test_never_more_bytes_than_the_bound_and_always_the_newest(bound: int, traffic: list[tuple[int, int]]) -> None:
    """After every put: bytes within the bound and exact, the newest that fit are there in order, nothing uncounted."""
    ring = Ring(bound)
    fitting: list[Batch] = []
    for number, (size, items) in enumerate(traffic):
        batch = of_size(size, items, number)
        ring.put(batch)
        if size + ENTRY_BYTES <= bound:
            fitting.append(batch)
        held = [batch for _, batch in ring.newest(10**9)]
        assert ring.held_bytes == sum(len(one.body) + ENTRY_BYTES for one in held) <= bound
        assert held == fitting[::-1][: len(held)]
        older = fitting[::-1][len(held) : len(held) + 1]
        assert all(ring.held_bytes + len(one.body) + ENTRY_BYTES > bound for one in older) or not held
        assert ring.items == sum(one.items for one in held)
    sent = sum(items for _, items in traffic)
    assert sent == ring.items + ring.skipped + ring.forgotten


def test_a_request_larger_than_the_ring_costs_nothing() -> None:
    """It is skipped and counted; the traces that were there stay."""
    ring = Ring(2000)
    ring.put(of_size(100, 2))
    ring.put(of_size(2000, 7))
    assert (len(ring), ring.items, ring.skipped, ring.forgotten) == (1, 2, 7, 0)


def test_tiny_requests_cannot_grow_without_bound() -> None:
    """Each entry is charged for itself, not only for its body."""
    ring = Ring(10 * ENTRY_BYTES)
    for _ in range(1000):
        ring.put(of_size(0))
    assert len(ring) == 10


def test_a_look_is_bounded_in_spans() -> None:
    """`newest` stops at the number asked for, but always shows the newest request."""
    ring = Ring(10**6)
    for number in range(5):
        ring.put(of_size(10, 40, number))
    assert [number for number, _ in ring.newest(100)] == [4, 3]
    assert [number for number, _ in ring.newest(1)] == [4]
    assert len(ring.newest(10**6)) == 5


def test_a_negative_bound_is_refused() -> None:
    """The error names the option and the value."""
    with pytest.raises(ValueError, match=r"max_bytes=-1: must not be negative"):
        Ring(-1)
