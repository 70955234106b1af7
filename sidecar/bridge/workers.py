"""When a worker process counts as dead: learnt from its own export rhythm, so that no setting has to match another."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.bridge.model import Attributes

SECOND = 1_000_000_000
#: A worker is dead after this many silent intervals: gauges are gone within two, an export may be late by most of one.
SILENT_INTERVALS = 1.9
#: Nobody is dead before this, however short the interval.
MIN_SILENCE_NS = 2 * SECOND
#: Exports closer together are parts of one export or a flush and say nothing of the rhythm.
MIN_INTERVAL_NS = SECOND // 4
#: A longer pause is one of the machine (suspended, stopped), not a rhythm.
MAX_INTERVAL_NS = 600 * SECOND
#: Of a process that has exported once, when nobody else is there to compare with: the SDKs' default.
DEFAULT_INTERVAL_NS = 60 * SECOND
REMEMBERED_GAPS = 5


class Rhythm:
    """The interval between a worker's exports.

    Attributes:
        heard_ns: when something was last received, by the receiver's clock.
        read_ns: newest time on its points, by the sender's clock.
        gaps: the last gaps between collections, nanoseconds.
    """

    __slots__ = ("gaps", "heard_ns", "read_ns")

    def __init__(self, heard_ns: int = 0, read_ns: int = 0, gaps: Iterable[int] = ()) -> None:
        self.heard_ns = heard_ns
        self.read_ns = read_ns
        self.gaps = tuple(gaps)

    def hear(self, received_ns: int, read_ns: int) -> None:
        """Notes an export; one that repeats or comes late teaches nothing."""
        self.heard_ns = received_ns
        if read_ns <= self.read_ns:
            return
        gap = read_ns - self.read_ns
        if self.read_ns and MIN_INTERVAL_NS <= gap <= MAX_INTERVAL_NS:
            self.gaps = (*self.gaps, gap)[-REMEMBERED_GAPS:]
        self.read_ns = read_ns

    def interval_ns(self) -> int | None:
        """The middle gap, so that one flush or one lost export does not count; the longest of the first two."""
        if not self.gaps:
            return None
        ordered = sorted(self.gaps)
        return ordered[-1] if len(ordered) < 3 else ordered[len(ordered) // 2]

    def silence_ns(self, otherwise_ns: int) -> int:
        """How long it may be silent; `otherwise_ns` is the interval when its own is not known yet."""
        interval = self.interval_ns()
        return max(MIN_SILENCE_NS, int(SILENT_INTERVALS * (otherwise_ns if interval is None else interval)))


def usual_interval_ns(rhythms: Iterable[Rhythm], default_ns: int = DEFAULT_INTERVAL_NS) -> int:
    """What a worker heard only once is judged by: the slowest rhythm around it."""
    known = [interval for rhythm in rhythms if (interval := rhythm.interval_ns()) is not None]
    return max(known, default=default_ns)


def shared_attributes(resources: Iterable[Attributes]) -> Attributes:
    """What all of them say alike, without what names one process.

    A pod with one worker shows the same `target_info` as one with four, and keeps it when that worker is replaced.
    """
    shared: set[tuple[str, str]] | None = None
    for resource in resources:
        shared = set(resource) if shared is None else shared & set(resource)
    return tuple(sorted(pair for pair in shared or () if not _of_one_process(pair[0])))


def _of_one_process(key: str) -> bool:
    return key == "service.instance.id" or (key.startswith("process.") and not key.startswith("process.runtime."))
