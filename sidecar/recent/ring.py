"""Keeps the newest requests within a bound in bytes, so that traces can be shown without ever growing memory."""

from __future__ import annotations

from collections import deque
from typing import Final

from sidecar.batch import Batch

#: Bytes charged for an entry beside its body, so that very many tiny requests stay within the bound too.
ENTRY_BYTES: Final = 256


class Ring:
    """A queue of batches that forgets its oldest when a new one needs the room. No locks: the owner has them.

    Attributes:
        max_bytes: what `held_bytes` never exceeds.
        held_bytes: bodies held, and `ENTRY_BYTES` for each.
        items: spans in the batches held.
        skipped: items that were never kept, because their batch alone is larger than the ring.
        forgotten: items that had to make room.
    """

    __slots__ = ("_entries", "_next", "forgotten", "held_bytes", "items", "max_bytes", "skipped")

    def __init__(self, max_bytes: int) -> None:
        if max_bytes < 0:
            raise ValueError(f"max_bytes={max_bytes}: must not be negative")
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.items = 0
        self.skipped = 0
        self.forgotten = 0
        self._entries: deque[tuple[int, Batch]] = deque()
        self._next = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, batch: Batch) -> None:
        """Keeps the batch; one larger than the entire ring is skipped and leaves what is there."""
        size = len(batch.body) + ENTRY_BYTES
        if size > self.max_bytes:
            self.skipped += batch.items
            return
        while self.held_bytes + size > self.max_bytes:
            _, oldest = self._entries.popleft()
            self.held_bytes -= len(oldest.body) + ENTRY_BYTES
            self.items -= oldest.items
            self.forgotten += oldest.items
        self._entries.append((self._next, batch))
        self._next += 1
        self.held_bytes += size
        self.items += batch.items

    def newest(self, max_items: int) -> list[tuple[int, Batch]]:
        """(number, batch) pairs, the newest first, until they hold `max_items`; numbers never repeat."""
        chosen: list[tuple[int, Batch]] = []
        items = 0
        for entry in reversed(self._entries):
            items += entry[1].items
            if items > max_items and chosen:
                break
            chosen.append(entry)
        return chosen
