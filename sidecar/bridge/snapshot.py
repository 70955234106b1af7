"""The store as plain records and back, so that a restarted sidecar goes on where it stopped.

Gauges and up-down counters are left out: they come with the next export, and an old one would be a lie.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from sidecar.bridge.entries import LASTING, Entry, Metric, Series, Worker
from sidecar.bridge.model import Attributes, ExponentialValue, HistogramValue, Kind, SummaryValue, Value
from sidecar.bridge.points import Descriptor, Point, Scope
from sidecar.bridge.store import Store, entries
from sidecar.bridge.streams import Cumulative, Delta, Incarnation
from sidecar.bridge.workers import Rhythm

FORMAT = 1
#: Larger integers do not fit the file; Prometheus, which counts in floats, has lost their last digits already.
_MAX_INT = 2**63 - 1


class SavedHistogram(Struct, frozen=True, array_like=True, tag="h"):
    """An explicit histogram without exemplars, which come again with the next export."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float
    count: int


class SavedExponential(Struct, frozen=True, array_like=True, tag="e"):
    """An exponential histogram without exemplars."""

    scale: int
    zero_count: int
    zero_threshold: float
    offset: int
    counts: tuple[int, ...]
    negative_offset: int
    negative_counts: tuple[int, ...]
    sum: float
    count: int


class SavedSummary(Struct, frozen=True, array_like=True, tag="s"):
    """A summary's sum and count."""

    sum: float
    count: int


SavedValue = int | float | SavedHistogram | SavedExponential | SavedSummary


class SavedPart(Struct, frozen=True, array_like=True):
    """One incarnation of a cumulative stream."""

    start_ns: int
    time_ns: int
    value: SavedValue
    after_ns: int
    before: SavedValue | None


class SavedCumulative(Struct, frozen=True, array_like=True, tag="c"):
    """A cumulative stream; the last part is the current one."""

    parts: tuple[SavedPart, ...]
    folded: SavedValue | None
    floor_ns: int
    adopted_ns: int


class SavedDelta(Struct, frozen=True, array_like=True, tag="d"):
    """A delta stream."""

    start_ns: int
    time_ns: int
    value: SavedValue
    windows: tuple[tuple[int, int], ...]
    adopted_ns: int


class SavedSeries(Struct, frozen=True, array_like=True):
    """A series and what ended workers left in it."""

    attributes: Attributes
    base: SavedValue | None
    start_ns: int


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


class Snapshot(Struct, frozen=True, array_like=True):
    """Everything that must outlive the sidecar's process."""

    format: int
    metrics: tuple[SavedMetric, ...]
    workers: tuple[SavedWorker, ...]
    folded: tuple[tuple[Attributes, int], ...]


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
                SavedStream(place[descriptor], series_place[id(entry.series)], key, _save_stream(entry.stream))
            )
    return Snapshot(
        FORMAT,
        tuple(_save_metric(metric) for metric in lasting),
        tuple(
            SavedWorker(w.identity, w.rhythm.heard_ns, w.rhythm.read_ns, w.rhythm.gaps, tuple(streams[w.identity]))
            for w in store.workers.values()
        ),
        tuple(store.folded.items()),
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
        held = [Series(one.attributes, _load(one.base), one.start_ns) for one in saved.series]
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
            stream = _load_stream(one.stream)
            key = (descriptor, isinstance(stream, Delta))
            store.attach(worker, key, one.key or series.attributes, Entry(stream, worker, series, process.heard_ns))
    store.folded.update(snapshot.folded)


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
        tuple(SavedSeries(one.attributes, _save(one.base), one.start_ns) for one in metric.series.values()),
    )


def _save_stream(stream: Cumulative | Delta) -> SavedCumulative | SavedDelta:
    if isinstance(stream, Delta):
        return SavedDelta(stream.start_ns, stream.time_ns, _number_or(stream.value), stream.windows, stream.adopted_ns)
    parts = (*stream.earlier, stream.current)
    return SavedCumulative(
        tuple(
            SavedPart(part.start_ns, part.time_ns, _number_or(part.value), part.after_ns, _save(part.before))
            for part in parts
        ),
        _save(stream.folded),
        stream.floor_ns,
        stream.adopted_ns,
    )


def _load_stream(saved: SavedCumulative | SavedDelta) -> Cumulative | Delta:
    if isinstance(saved, SavedDelta):
        value = _load_value(saved.value)
        delta = Delta(Point((), saved.start_ns, saved.time_ns, value), value)
        delta.windows, delta.adopted_ns = saved.windows, saved.adopted_ns
        return delta
    if not saved.parts:
        raise ValueError("a stream without a value")
    parts = [
        Incarnation(one.start_ns, one.time_ns, _load_value(one.value), one.after_ns, _load(one.before))
        for one in saved.parts
    ]
    current = parts[-1]
    stream = Cumulative(Point((), current.start_ns, current.time_ns, current.value), current.value)
    stream.current, stream.earlier = current, tuple(parts[:-1])
    stream.folded, stream.floor_ns, stream.adopted_ns = _load(saved.folded), saved.floor_ns, saved.adopted_ns
    return stream


def _save(value: Value | None) -> SavedValue | None:
    return None if value is None else _number_or(value)


def _number_or(value: Value) -> SavedValue:
    if isinstance(value, HistogramValue):
        return SavedHistogram(value.bounds, value.counts, value.sum, value.count)
    if isinstance(value, ExponentialValue):
        return SavedExponential(
            value.scale,
            value.zero_count,
            value.zero_threshold,
            value.offset,
            value.counts,
            value.negative_offset,
            value.negative_counts,
            value.sum,
            value.count,
        )
    if isinstance(value, SummaryValue):
        return SavedSummary(value.sum, value.count)
    return float(value) if isinstance(value, int) and value > _MAX_INT else value


def _load(value: SavedValue | None) -> Value | None:
    return None if value is None else _load_value(value)


def _load_value(value: SavedValue) -> Value:
    if isinstance(value, SavedHistogram):
        return HistogramValue(value.bounds, value.counts, value.sum, value.count)
    if isinstance(value, SavedExponential):
        return ExponentialValue(
            value.scale,
            value.zero_count,
            value.zero_threshold,
            value.offset,
            value.counts,
            value.negative_offset,
            value.negative_counts,
            value.sum,
            value.count,
        )
    if isinstance(value, SavedSummary):
        return SummaryValue(value.sum, value.count)
    return value
