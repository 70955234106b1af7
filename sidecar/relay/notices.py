"""Says in the log how it goes with a target: when that changes, and otherwise a line a minute, never one per batch."""

from __future__ import annotations

import logging
import time
from collections import Counter

from sidecar.batch import Signal
from sidecar.ledger import Dropped

_EVERY_S = 60.0

logger = logging.getLogger("sidecar.relay")


class Notices:
    """The log's view of one target."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._down_since: float | None = None
        self._said_down = 0.0
        self._dropped: Counter[tuple[Signal, Dropped, str]] = Counter()
        self._said_dropped: dict[Dropped, float] = {}

    def failed(self, message: str) -> None:
        """A try failed and will be repeated."""
        now = time.monotonic()
        if self._down_since is None:
            self._down_since = now
        elif now - self._said_down < _EVERY_S:
            return
        self._said_down = now
        logger.warning("%s takes no data, which waits in the queue: %s", self._target, message)

    def answered(self) -> None:
        """The target answered again."""
        if self._down_since is not None:
            logger.info("%s answers again after %.1f s", self._target, time.monotonic() - self._down_since)
            self._down_since = None

    def dropped(self, signal: Signal, items: int, reason: Dropped, message: str) -> None:
        """Items were dropped."""
        self._dropped[signal, reason, message] += items
        now = time.monotonic()
        if now - self._said_dropped.get(reason, -_EVERY_S) >= _EVERY_S:
            self._said_dropped[reason] = now
            self.flush()

    def flush(self) -> None:
        """Says what has not been said yet."""
        for (signal, reason, message), items in self._dropped.items():
            logger.warning("%d items of %s for %s dropped (%s): %s", items, signal, self._target, reason, message)
        self._dropped.clear()
