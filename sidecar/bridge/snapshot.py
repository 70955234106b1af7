"""The store as plain records and back, so that a restarted sidecar goes on where it stopped.

Gauges and up-down counters are left out: they come with the next export, and an old one would be a lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from sidecar.bridge.entries import LASTING, Entry, Metric, Series, Worker
from sidecar.bridge.model import Attributes, Kind
from sidecar.bridge.points import Descriptor, Scope
from sidecar.bridge.records import SavedCumulative, SavedDelta, SavedValue, load, load_stream, save, save_stream
from sidecar.bridge.store import Store, entries
from sidecar.bridge.streams import Cumulative, Delta
from sidecar.bridge.tombstones import Tombstone
from sidecar.bridge.workers import Rhythm

FORMAT = 1


class SavedSeries(Struct, frozen=True, array_like=True):
    """A series and what ended workers left in it.

    `shown` is the last float handed out: added up in another order after a restart, it may come out lower by a bit.
    """

    attributes: Attributes
    base: SavedValue | None
    start_ns: int
    shown: float = 0.0


class SavedMetric(Struct, frozen=True, array_like=True):
    """A metric and its series."""

    scope: tuple[str, str, str, Attributes]
    name: str
    kind: Literal["counter", "histogram", "exponential", "summary"]
    unit: str
    description: str
    overflowed: bool
    series: tuple[SavedSeries, ...]


class SavedStream(Struct, frozen=True, array_like=True):
    """A stream in its place: `metric` and `series` are positions; `key` is the digest of one in the overflow series."""

    metric: int
    series: int
    key: bytes
    stream: SavedCumulative | SavedDelta


class SavedWorker(Struct, frozen=True, array_like=True):
    """A process and its streams."""

    identity: Attributes
    heard_ns: int
    read_ns: int
    gaps: tuple[int, ...]
    streams: tuple[SavedStream, ...]


class SavedTombstone(Struct, frozen=True, array_like=True):
    """A worker that was added up for good; streams are packed, by the position of the metric and whether of deltas."""

    identity: Attributes
    heard_ns: int
    read_ns: int
    gaps: tuple[int, ...]
    shared: bool
    ghost: bool
    streams: tuple[tuple[int, bool, bytes], ...]


class Snapshot(Struct, frozen=True, array_like=True):
    """Everything that must outlive the sidecar's process."""

    format: int
    metrics: tuple[SavedMetric, ...]
    workers: tuple[SavedWorker, ...]
    folded: tuple[tuple[Attributes, int], ...]
    tombstones: tuple[SavedTombstone, ...] = ()  # files of before have none


def take(store: Store) -> Snapshot:
    """What the store would lose."""
    lasting = [metric for metric in store.metrics.values() if metric.descriptor.kind in LASTING]
    place = {metric.descriptor: number for number, metric in enumerate(lasting)}
    series_place = {id(series): number for metric in lasting for number, series in enumerate(metric.series.values())}
    streams: dict[Attributes, list[SavedStream]] = {worker: [] for worker in store.workers}
    for worker, (descriptor, _), name, entry in entries(store):
        if descriptor in place and isinstance(entry.stream, Cumulative | Delta):
            key = name if isinstance(name, bytes) else b""
            streams[worker.identity].append(
                SavedStream(place[descriptor], series_place[id(entry.series)], key, save_stream(entry.stream))
            )
    return Snapshot(
        FORMAT,
        tuple(_save_metric(metric) for metric in lasting),
        tuple(
            SavedWorker(w.identity, w.rhythm.heard_ns, w.rhythm.read_ns, w.rhythm.gaps, tuple(streams[w.identity]))
            for w in store.workers.values()
        ),
        tuple(store.folded.items()),
        tuple(_save_tombstone(identity, one, place) for identity, one in store.tombstones.held.items()),
    )


def restore(snapshot: Snapshot, store: Store) -> None:
    """Fills an empty store.

    Raises:
        ValueError: the snapshot is of another format or does not fit together.
    """
    if snapshot.format != FORMAT:
        raise ValueError(f"state of format {snapshot.format}; this version reads {FORMAT}")
    metrics: list[tuple[Descriptor, list[Series]]] = []
    for saved in snapshot.metrics:
        descriptor = Descriptor(Scope(*saved.scope), saved.name, Kind(saved.kind), saved.unit)
        metric = store.metrics[descriptor] = Metric(descriptor, saved.description)
        metric.overflowed = saved.overflowed
        held = [Series(one.attributes, load(one.base), one.start_ns, one.shown) for one in saved.series]
        metric.series.update((one.attributes, one) for one in held)
        store.series += len(held)
        metrics.append((descriptor, held))
    for process in snapshot.workers:
        worker = Worker(process.identity, Rhythm(process.heard_ns, process.read_ns, process.gaps))
        store.workers[process.identity] = worker
        for one in process.streams:
            if not (0 <= one.metric < len(metrics) and 0 <= one.series < len(metrics[one.metric][1])):
                raise ValueError("a stream points at a series that is not there")
            descriptor, held = metrics[one.metric]
            series = held[one.series]
            stream = load_stream(one.stream)
            key = (descriptor, isinstance(stream, Delta))
            store.attach(worker, key, one.key or series.attributes, Entry(stream, worker, series, process.heard_ns))
    store.folded.update(snapshot.folded)
    for stone in snapshot.tombstones:
        if not all(0 <= number < len(metrics) for number, _, _ in stone.streams):
            raise ValueError("a tombstone points at a metric that is not there")
        streams = {(metrics[number][0], delta): packed for number, delta, packed in stone.streams}
        rhythm = Rhythm(stone.heard_ns, stone.read_ns, stone.gaps)
        store.give_up(store.tombstones.keep(stone.identity, Tombstone(rhythm, stone.shared, stone.ghost, streams)))


def _save_metric(metric: Metric) -> SavedMetric:
    scope = metric.descriptor.scope
    kind = metric.descriptor.kind
    return SavedMetric(
        (scope.name, scope.version, scope.schema_url, scope.attributes),
        metric.descriptor.name,
        kind.value,  # type: ignore[arg-type] # only lasting kinds come here
        metric.descriptor.unit,
        metric.description,
        metric.overflowed,
        tuple(SavedSeries(one.attributes, save(one.base), one.start_ns, one.shown) for one in metric.series.values()),
    )


def _save_tombstone(identity: Attributes, one: Tombstone, place: Mapping[Descriptor, int]) -> SavedTombstone:
    rhythm = one.rhythm
    streams = tuple((place[descriptor], delta, packed) for (descriptor, delta), packed in one.streams.items())
    return SavedTombstone(identity, rhythm.heard_ns, rhythm.read_ns, rhythm.gaps, one.shared, one.ghost, streams)
