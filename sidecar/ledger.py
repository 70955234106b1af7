"""Keeps the books: for every signal and target, received = forwarded + queued + dropped, so that no loss is silent.

Everything is counted in items (spans, data points, log records) on the event loop's thread, hence without locks. What
was refused was never received: the sender still has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sidecar.batch import Signal


class Refused(StrEnum):
    """Why a request was not taken; the sender was told and knows whether to retry."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    INTERRUPTED = "interrupted"
    QUEUE_FULL = "queue_full"
    OVERLOADED = "overloaded"
    DRAINING = "draining"
    INTERNAL = "internal"


class Dropped(StrEnum):
    """Why items that had been taken never arrived at a target."""

    REJECTED = "rejected"  # the target took the request, but not these items (OTLP's partial success)
    INVALID = "invalid"  # the target says that the data is wrong
    TOO_LARGE = "too_large"  # one item alone is more than the target takes
    UNAUTHORIZED = "unauthorized"
    FAILED = "failed"  # any other answer that a retry does not change
    EXPIRED = "expired"  # waited longer than --max-age
    QUEUE_FULL = "queue_full"  # this target's queue was full while another one's was not
    SHUTDOWN = "shutdown"  # still waiting when --drain-timeout was over
    NO_TARGET = "no_target"  # nothing here takes this signal


@dataclass(frozen=True, slots=True)
class Row:
    """One signal's account with one target; `missing` is 0 unless this program has a bug."""

    signal: Signal
    target: str
    received: int
    forwarded: int
    queued: int
    dropped: tuple[tuple[str, int], ...]

    @property
    def missing(self) -> int:
        """Items that are in no column."""
        return self.received - self.forwarded - self.queued - sum(count for _, count in self.dropped)


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """Requests that were not taken; `items` counts those whose content could be counted."""

    signal: Signal
    reason: str
    requests: int
    items: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The books at one moment."""

    rows: tuple[Row, ...]
    refused: tuple[RefusedRow, ...]

    @property
    def balanced(self) -> bool:
        """Whether every item is accounted for."""
        return not any(row.missing for row in self.rows)


class Ledger:
    """Counts what happens to every item.

    Accounts are opened before traffic with `open`, so that every series exists from the first scrape on.
    """

    def __init__(self) -> None:
        self._received: Counter[Signal] = Counter()
        self._accounts: dict[tuple[Signal, str], Callable[[], int]] = {}
        self._forwarded: Counter[tuple[Signal, str]] = Counter()
        self._dropped: Counter[tuple[Signal, str, str]] = Counter()
        self._refused_requests: Counter[tuple[Signal, str]] = Counter()
        self._refused_items: Counter[tuple[Signal, str]] = Counter()

    def open(self, signal: Signal, target: str, queued: Callable[[], int] = lambda: 0) -> None:
        """Opens an account; `queued` tells how many of the signal's items wait for the target or are on their way."""
        self._accounts[signal, target] = queued

    def received(self, signal: Signal, items: int) -> None:
        """Items taken from a sender, who may now forget them."""
        self._received[signal] += items

    def refused(self, signal: Signal, reason: str, items: int = 0) -> None:
        """One request not taken; `items` is 0 where they could not be counted."""
        self._refused_requests[signal, reason] += 1
        self._refused_items[signal, reason] += items

    def forwarded(self, signal: Signal, target: str, items: int) -> None:
        """Items that the target has taken over."""
        self._forwarded[signal, target] += items

    def dropped(self, signal: Signal, target: str, reason: str, items: int) -> None:
        """Items that will never arrive at the target."""
        self._dropped[signal, target, reason] += items

    def snapshot(self) -> Snapshot:
        """The books now."""
        rows = []
        for (signal, target), queued in self._accounts.items():
            drops = ((key[2], count) for key, count in self._dropped.items() if key[:2] == (signal, target) and count)
            forwarded = self._forwarded[signal, target]
            rows.append(Row(signal, target, self._received[signal], forwarded, queued(), tuple(sorted(drops))))
        refused = tuple(
            RefusedRow(*key, requests, self._refused_items[key])
            for key, requests in sorted(self._refused_requests.items())
        )
        return Snapshot(tuple(rows), refused)


def describe(row: Row) -> str:
    """An account as one line for the log."""
    dropped = ", ".join(f"{reason} {count}" for reason, count in row.dropped) or "0"
    return (
        f"ledger: {row.signal} to {row.target}: received {row.received} = forwarded {row.forwarded} "
        f"+ queued {row.queued} + dropped ({dropped})"
    )
