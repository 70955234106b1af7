"""The books always show where every item is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.batch import Signal
from sidecar.ledger import Dropped, Ledger, Refused, describe


def test_an_account_has_what_came_what_went_and_what_is_left() -> None:
    ledger = Ledger()
    ledger.open(Signal.TRACES, "http://target", lambda: 30)
    ledger.received(Signal.TRACES, 100)
    ledger.forwarded(Signal.TRACES, "http://target", 60)
    ledger.dropped(Signal.TRACES, "http://target", Dropped.EXPIRED, 7)
    ledger.dropped(Signal.TRACES, "http://target", Dropped.INVALID, 3)
    (row,) = ledger.snapshot().rows
    assert (row.received, row.forwarded, row.queued, row.missing) == (100, 60, 30, 0)
    assert row.dropped == (("expired", 7), ("invalid", 3))
    assert describe(row) == (
        "ledger: traces to http://target: received 100 = forwarded 60 + queued 30 + dropped (expired 7, invalid 3)"
    )


def test_what_is_in_no_column_is_missing() -> None:
    ledger = Ledger()
    ledger.open(Signal.LOGS, "t", lambda: 0)
    ledger.received(Signal.LOGS, 2)
    assert not ledger.snapshot().balanced
    assert ledger.snapshot().rows[0].missing == 2


def test_refused_requests_are_no_part_of_what_was_received() -> None:
    ledger = Ledger()
    ledger.open(Signal.LOGS, "t")
    ledger.refused(Signal.LOGS, Refused.QUEUE_FULL, 12)
    ledger.refused(Signal.LOGS, Refused.QUEUE_FULL, 3)
    ledger.refused(Signal.LOGS, "a stage's own")
    snapshot = ledger.snapshot()
    assert snapshot.balanced
    assert [(row.reason, row.requests, row.items) for row in snapshot.refused] == [
        ("a stage's own", 1, 0),
        ("queue_full", 2, 15),
    ]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([*Dropped, None]), st.integers(0, 9))))
def test_every_target_has_an_account_of_its_own(events: list[tuple[str, Dropped | None, int]]) -> None:
    """Whatever happens to items at one target, the other's account balances too."""
    ledger = Ledger()
    all_items = sum(items for _, _, items in events)
    left = {"a": all_items, "b": all_items}
    ledger.open(Signal.TRACES, "a", lambda: left["a"])
    ledger.open(Signal.TRACES, "b", lambda: left["b"])
    ledger.received(Signal.TRACES, all_items)
    for target, reason, items in events:
        left[target] -= items
        if reason is None:
            ledger.forwarded(Signal.TRACES, target, items)
        else:
            ledger.dropped(Signal.TRACES, target, reason, items)
        assert ledger.snapshot().balanced
