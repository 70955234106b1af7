"""What waits for one target: first in, first out, bounded in bytes; pure, so that time and sending are the caller's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sidecar.batch import Batch, Signal

# What an entry costs beside its body: the objects around it. A queue of tiny requests must be bounded too.
_ENTRY_BYTES = 300


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch and when it came, in the clock's seconds."""

    batch: Batch
    since: float


class Queue:
    """Entries that wait, and the weight of those that were taken and are not settled yet.

    Attributes:
        limit: bound of `held`, in bytes.
        held: bytes that wait or are on their way.
        waiting: bytes that wait.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.waiting = 0
        self._entries: dict[Signal, deque[Entry]] = {signal: deque() for signal in Signal}
        self._items = dict.fromkeys(Signal, 0)

    def __bool__(self) -> bool:
        return self.waiting > 0

    def has_room(self, batch: Batch) -> bool:
        """Whether `put` may be called."""
        return self.held + _weight(batch) <= self.limit

    def fits(self, batch: Batch) -> bool:
        """Whether there would be room if nothing else waited."""
        return _weight(batch) <= self.limit

    def put(self, batch: Batch, now: float) -> None:
        """Adds a batch for which there is room."""
        self._entries[batch.signal].append(Entry(batch, now))
        weight = _weight(batch)
        self.held += weight
        self.waiting += weight
        self._items[batch.signal] += batch.items

    def take(self, most: int) -> list[Entry]:
        """The oldest entry and those of its signal behind it, with bodies of `most` bytes, or one with more."""
        entries = min((queue for queue in self._entries.values() if queue), key=lambda queue: queue[0].since)
        taken = [entries.popleft()]
        size = len(taken[0].batch.body)
        while entries and (size := size + len(entries[0].batch.body)) <= most:
            taken.append(entries.popleft())
        self.waiting -= sum(_weight(entry.batch) for entry in taken)
        return taken

    def release(self, entries: list[Entry]) -> None:
        """Gives back the room of entries that were taken."""
        self.held -= sum(_weight(entry.batch) for entry in entries)

    def settle(self, signal: Signal, items: int) -> None:
        """Items of taken entries whose fate is known."""
        self._items[signal] -= items

    def items(self, signal: Signal) -> int:
        """Items that wait or are on their way."""
        return self._items[signal]


def _weight(batch: Batch) -> int:
    return len(batch.body) + _ENTRY_BYTES
