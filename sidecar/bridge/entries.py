"""What the store is made of: workers, metrics, series and the streams between them, and what bounds them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

from sidecar.bridge.model import Attributes, Kind, Value
from sidecar.bridge.points import Descriptor
from sidecar.bridge.streams import Stream
from sidecar.bridge.workers import DEFAULT_INTERVAL_NS, SECOND, Rhythm

#: A metric, and whether its points are deltas.
StreamKey: TypeAlias = tuple[Descriptor, bool]
#: A stream's attributes; of one in the overflow series their digest, so that a leak of labels keeps no text.
StreamName: TypeAlias = Attributes | bytes

#: OTel SDK spec, "Cardinality limits": the attribute set of what did not fit.
OVERFLOW: Attributes = (("otel.metric.overflow", "true"),)
#: Kinds of which a dead worker's part stays: what was counted stays counted.
LASTING = frozenset({Kind.COUNTER, Kind.HISTOGRAM, Kind.EXPONENTIAL, Kind.SUMMARY})


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the memory.

    Attributes:
        series_per_metric: more go into the overflow series. The SDKs' own limit per process is the same 2,000, so a
            worker with defaults is never cut by the bridge.
        series: the same for the whole pod; a scrape of this many counters is some 5 MB.
        streams: of all workers; points of more streams are dropped and counted.
        request_points: of one request; a larger one is refused before it is decoded.
        metrics: distinct metrics; points of more are dropped and counted.
        dead_streams: of ended workers, kept apart so that late points can still be placed; then added up for good,
            unless they ended within `dead_kept_ns` and the limit of streams has room.
        dead_workers: the same, in workers, however lately they ended.
        dead_kept_ns: a pause of a process is rarely longer.
        tombstone_bytes: what is remembered of workers added up for good, so that one that comes back counts exactly.
        tombstones: identities of those remembered, and as many again of those given up, so that nothing of theirs
            counts twice.
        default_interval_ns: assumed of a worker that has exported once, when no other worker has a known rhythm.
    """

    series_per_metric: int = 2_000
    series: int = 50_000
    streams: int = 250_000
    request_points: int = 250_000
    metrics: int = 5_000
    dead_streams: int = 10_000
    dead_workers: int = 500
    dead_kept_ns: int = 600 * SECOND
    tombstone_bytes: int = 8 * 2**20
    tombstones: int = 10_000
    default_interval_ns: int = DEFAULT_INTERVAL_NS


class Series:
    """One attribute set of one metric.

    Attributes:
        attributes: which.
        base: what ended workers have counted; None when none has.
        start_ns: the oldest start seen.
        entries: the streams that add up to it.
        shown: the last float total handed out; see `merge`.
    """

    __slots__ = ("attributes", "base", "entries", "shown", "start_ns")

    def __init__(
        self, attributes: Attributes, base: Value | None = None, start_ns: int = 0, shown: float = 0.0
    ) -> None:
        self.attributes = attributes
        self.base = base
        self.start_ns = start_ns
        self.entries: dict[Entry, None] = {}  # in order, and quick to leave
        self.shown = shown

    def began(self, start_ns: int) -> None:
        """Notes a stream's start."""
        if start_ns and (self.start_ns == 0 or start_ns < self.start_ns):
            self.start_ns = start_ns


class Metric:
    """One metric of the pod."""

    __slots__ = ("description", "descriptor", "overflowed", "series")

    def __init__(self, descriptor: Descriptor, description: str) -> None:
        self.descriptor = descriptor
        self.description = description
        self.series: dict[Attributes, Series] = {}
        self.overflowed = False


class Worker:
    """One process, told by its full resource attributes.

    Attributes:
        identity: see above.
        rhythm: when it exports.
        entries: its streams; those in the overflow series are held by a digest of their attributes.
        alive: as of the last sweep.
        silence_ns: how long it may be silent and still count as alive, as of the last sweep.
        delta: it sends deltas, so a gauge that it does not mention has not changed.
        shared: two processes were seen under this identity.
        ghost: another identity sent a stream with the very same start: a fork of a process that had counted before.
        adopted: streams that came back after what is needed to go on exactly had been given up.
    """

    __slots__ = ("adopted", "alive", "delta", "entries", "ghost", "identity", "rhythm", "shared", "silence_ns")

    def __init__(self, identity: Attributes, rhythm: Rhythm) -> None:
        self.identity = identity
        self.rhythm = rhythm
        self.entries: dict[StreamKey, dict[StreamName, Entry]] = {}
        self.alive = True
        self.silence_ns = rhythm.silence_ns(DEFAULT_INTERVAL_NS)
        self.delta = False
        self.shared = False
        self.ghost = False
        self.adopted = 0

    def streams(self) -> int:
        """How many it has."""
        return sum(map(len, self.entries.values()))


class Entry:
    """A stream in its place: whose it is, and what it adds to."""

    __slots__ = ("heard_ns", "series", "stream", "worker")

    def __init__(self, stream: Stream, worker: Worker, series: Series, heard_ns: int) -> None:
        self.stream = stream
        self.worker = worker
        self.series = series
        self.heard_ns = heard_ns


@dataclass(slots=True)
class Tally:
    """What happened to points, counted since the start."""

    points: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    resets: int = 0
    adopted: int = 0


def digest(attributes: Attributes) -> bytes:
    """Sixteen bytes that stand for an attribute set, the same after a restart."""
    return hashlib.blake2b(repr(attributes).encode(), digest_size=16).digest()
