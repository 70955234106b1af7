"""What an exporter delivered and what it lost, in numbers always and in words at most once a minute."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from instrumentation.otlp.forks import after_fork_in_child

logger = logging.getLogger("instrumentation.otlp")

REJECTED: Final = "rejected"
ENCODE: Final = "encode"
# Of single items, while the others arrive: there is nothing to come back from.
_NO_OUTAGE: Final = frozenset({REJECTED, ENCODE})
_SAY_AGAIN_AFTER_S: Final = 60.0
_LOST: Final = "lost %d %s for %s (%s): %s"
_LATE: Final = "%d %s did not reach %s (%s): %s; the next export sends their totals again"


@dataclass(slots=True)
class Stats:
    """Items (spans, data points, log records) of this process since it began or was forked.

    Attributes:
        exported: taken by the server.
        failed: lost, by reason: those of `client.Posted`, `rejected` (partial success), `encode`.
    """

    exported: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """All that failed."""
        return sum(self.failed.values())


class Account:
    """Counts for one exporter, and the warnings made of them.

    The first loss is said at once, later ones together after a minute, and that deliveries work again once after
    each warning.

    Args:
        items: the plural of what is counted.
        place: where to, for a person.
        clock: seconds that never go back.
        repeats: the items are totals, which the next export sends again: what did not arrive is late, not lost.
    """

    def __init__(
        self, items: str, place: str, clock: Callable[[], float] = time.monotonic, *, repeats: bool = False
    ) -> None:
        self._items, self._place, self._clock, self._repeats = items, place, clock, repeats
        self._renew()
        after_fork_in_child(self._renew)

    def _renew(self) -> None:
        self.stats = Stats()
        self._lock = threading.Lock()
        self._said_at = self._remarked_at = -math.inf
        self._unsaid = 0
        self._failing = False

    def exported(self, count: int) -> None:
        """Counts items that arrived."""
        with self._lock:
            self.stats.exported += count
            if not self._failing:
                return
            self._failing = False
            unsaid, self._unsaid = self._unsaid, 0
        more = f"; {unsaid} more were lost since the last warning" if unsaid else ""
        logger.warning("%s arrive again at %s%s", self._items, self._place, more)

    def lost(self, count: int, reason: str, words: str) -> None:
        """Counts items that did not arrive and never will.

        Args:
            count: how many.
            reason: the word to count them under.
            words: why, for a person.
        """
        with self._lock:
            self.stats.failed[reason] = self.stats.failed.get(reason, 0) + count
            self._unsaid += count
            now = self._clock()
            if now - self._said_at < _SAY_AGAIN_AFTER_S:
                return
            self._said_at = now
            self._failing = reason not in _NO_OUTAGE
            unsaid, self._unsaid = self._unsaid, 0
        # Outside the lock: a handler of the application may export the warning itself, through this very exporter.
        message = _LATE if self._repeats else _LOST
        logger.warning(message, unsaid, self._items, self._place, reason, words)

    def remark(self, words: str) -> None:
        """Passes on what a server says about items it took (OTLP: a partial success that rejects none)."""
        with self._lock:
            now = self._clock()
            if now - self._remarked_at < _SAY_AGAIN_AFTER_S:
                return
            self._remarked_at = now
        logger.warning("%s says about the %s it took: %s", self._place, self._items, words)
