"""Every stream of every worker, and the series they add up to: the bridge's memory, without I/O or clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from sidecar.bridge.entries import (
    LASTING,
    OVERFLOW,
    Entry,
    Limits,
    Metric,
    Series,
    StreamKey,
    StreamName,
    Tally,
    Worker,
    digest,
)
from sidecar.bridge.model import Attributes
from sidecar.bridge.points import Descriptor, Export, MetricPoints, Point
from sidecar.bridge.streams import Cumulative, Delta, Outcome, begin
from sidecar.bridge.tombstones import Tombstone, Tombstones
from sidecar.bridge.values import add
from sidecar.bridge.workers import SECOND, Rhythm, usual_interval_ns

#: How often dead workers are looked for when nobody asks.
SWEEP_NS = 10 * SECOND


class Store:
    """Takes decoded exports; `merge` reads the sums off it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.workers: dict[Attributes, Worker] = {}
        self.metrics: dict[Descriptor, Metric] = {}
        self.tombstones = Tombstones(self.limits.tombstone_bytes, self.limits.tombstones)
        self.folded: OrderedDict[Attributes, int] = OrderedDict()  # whose tombstones were given up: read up to when
        self.dead: list[Worker] = []  # as of the last sweep, the longest silent last
        self.tally = Tally()
        self.series = 0
        self.streams = 0
        self.swept_ns = 0

    def offer(self, export: Export, received_ns: int) -> None:
        """Takes what one process sent."""
        worker = self.workers.get(export.resource) or self._arrive(export.resource)
        worker.alive = True
        newest = max((point.time_ns for metric in export.metrics for point in metric.points), default=0)
        worker.rhythm.hear(received_ns, newest or received_ns)
        for points in export.metrics:
            if points.delta:
                worker.delta = True
            self._take(worker, points, received_ns)
        if received_ns - self.swept_ns > SWEEP_NS:
            self.sweep(received_ns)  # a sidecar that nobody scrapes is bounded too

    def sweep(self, now_ns: int) -> bool:
        """Lets go of what dead workers and ended streams hold: gauges now, counters when room is short.

        Returns whether a worker was added up for good: what is to be saved has changed then.
        """
        self.swept_ns = now_ns
        usual = usual_interval_ns((worker.rhythm for worker in self.workers.values()), self.limits.default_interval_ns)
        for worker in self.workers.values():
            worker.silence_ns = worker.rhythm.silence_ns(usual)
            worker.alive = now_ns - worker.rhythm.heard_ns <= worker.silence_ns
            self._drop_gone(worker, now_ns - worker.silence_ns)
        dead = sorted((w for w in self.workers.values() if not w.alive), key=lambda w: w.rhythm.heard_ns)[::-1]
        held = sum(worker.streams() for worker in dead)
        kept_since_ns, folded = now_ns - self.limits.dead_kept_ns, False
        while dead and (
            len(dead) > self.limits.dead_workers
            or (held > self.limits.dead_streams and dead[-1].rhythm.heard_ns < kept_since_ns)
        ):
            worker = dead.pop()
            held -= worker.streams()
            self._fold(worker)
            folded = True
        self.dead = dead
        return folded

    def place(self, metric: Metric, attributes: Attributes) -> Series:
        """The series for an attribute set: its own while there is room, else the overflow series."""
        series = metric.series.get(attributes)
        if series is not None:
            return series
        if len(metric.series) >= self.limits.series_per_metric or self.series >= self.limits.series:
            if attributes != OVERFLOW:
                metric.overflowed = True
                attributes = OVERFLOW
            series = metric.series.get(attributes)
        if series is None:
            series = metric.series[attributes] = Series(attributes)
            self.series += 1
        return series

    def attach(self, worker: Worker, key: StreamKey, attributes: StreamName, entry: Entry) -> None:
        """Puts a stream into its place."""
        worker.entries.setdefault(key, {})[attributes] = entry
        entry.series.entries[entry] = None
        entry.series.began(entry.stream.start_ns)
        self.streams += 1

    def give_up(self, tombstones: Iterable[tuple[Attributes, Tombstone]]) -> None:
        """Remembers only up to when these workers were added up: should one come back, it counts from then on."""
        for identity, tombstone in tombstones:
            self.folded[identity] = max(tombstone.rhythm.read_ns, self.folded.get(identity, -1))
            self.folded.move_to_end(identity)
        while len(self.folded) > self.limits.tombstones:
            self.folded.popitem(last=False)

    def _arrive(self, identity: Attributes) -> Worker:
        """A worker that is new, or comes back after it was added up for good."""
        worker = self.workers[identity] = Worker(identity, Rhythm())
        tombstone = self.tombstones.wake(identity)
        if tombstone is None:
            return worker
        worker.rhythm, worker.shared, worker.ghost = tombstone.rhythm, tombstone.shared, tombstone.ghost
        for key in tombstone.streams:
            metric = self.metrics[key[0]]
            places = {digest(attributes): series for attributes, series in metric.series.items()}
            for name, stream in tombstone.waking(key):
                series = places.get(name)
                if not self._has_room():
                    self.give_up([(identity, tombstone)])
                    return worker
                if series is None:
                    entry = Entry(stream, worker, self.place(metric, OVERFLOW), worker.rhythm.heard_ns)
                    self.attach(worker, key, name, entry)
                else:
                    self.attach(worker, key, series.attributes, Entry(stream, worker, series, worker.rhythm.heard_ns))
        return worker

    def _has_room(self) -> bool:
        """Whether one more stream fits; dead workers are added up for it."""
        while self.streams >= self.limits.streams and self.dead:
            worker = self.dead.pop()
            if not worker.alive and self.workers.get(worker.identity) is worker:
                self._fold(worker)
        return self.streams < self.limits.streams

    def _take(self, worker: Worker, points: MetricPoints, received_ns: int) -> None:
        descriptor = points.descriptor
        metric = self.metrics.get(descriptor)
        self.tally.points += len(points.points)
        if metric is None:
            if len(self.metrics) >= self.limits.metrics:
                self.tally.dropped["metric_limit"] += len(points.points)
                return
            metric = self.metrics[descriptor] = Metric(descriptor, points.description)
        metric.description = metric.description or points.description
        key = (descriptor, points.delta)
        held = worker.entries.get(key) or {}
        for sent in points.points:
            point = sent if sent.time_ns else replace(sent, time_ns=received_ns)
            name: StreamName = point.attributes
            entry = held.get(name)
            if entry is None and metric.overflowed:
                name = digest(point.attributes)
                entry = held.get(name)
            if point.value is None:
                if entry is not None and descriptor.kind not in LASTING:
                    self._detach(metric, held, name, entry)
            elif entry is None:
                self._begin(worker, key, point, received_ns)
                held = worker.entries.get(key) or {}
            else:
                entry.heard_ns = received_ns
                self._count(worker, entry.stream.offer(point, point.value, received_ns))
                entry.series.began(point.start_ns)

    def _begin(self, worker: Worker, key: StreamKey, point: Point, received_ns: int) -> None:
        metric, kind = self.metrics[key[0]], key[0].kind
        if point.value is None:
            return
        added_up_ns = self.folded.get(worker.identity, -1)
        if kind in LASTING and point.time_ns <= added_up_ns:
            self.tally.dropped["late"] += 1
            return
        if not self._has_room():
            self.tally.dropped["stream_limit"] += 1
            return
        stream = begin(kind, point, point.value, delta=key[1])
        if kind in LASTING and added_up_ns >= 0 and isinstance(stream, Cumulative | Delta):
            stream.adopt(added_up_ns)
            self.tally.adopted += 1
            worker.adopted += 1
        series = self.place(metric, point.attributes)
        name = point.attributes if series.attributes == point.attributes else digest(point.attributes)
        if kind in LASTING and isinstance(stream, Cumulative) and point.start_ns and series.attributes != OVERFLOW:
            worker.ghost = worker.ghost or any(
                entry.worker is not worker and entry.stream.start_ns == point.start_ns for entry in series.entries
            )
        self.attach(worker, key, name, Entry(stream, worker, series, received_ns))

    def _count(self, worker: Worker, outcome: Outcome) -> None:
        if outcome in (Outcome.DUPLICATE, Outcome.STALE):
            self.tally.dropped[outcome.value] += 1
        elif outcome is Outcome.RESET:
            self.tally.resets += 1
        elif outcome is Outcome.INTERLEAVED:
            worker.shared = True

    def _drop_gone(self, worker: Worker, before_ns: int) -> None:
        for (descriptor, delta), held in worker.entries.items():
            if descriptor.kind in LASTING or (worker.alive and worker.delta):
                continue
            if delta:
                continue  # the running sum of a worker that may come back; not counted while it is dead
            metric = self.metrics[descriptor]
            for name, entry in [item for item in held.items() if item[1].heard_ns < before_ns]:
                self._detach(metric, held, name, entry)

    def _detach(self, metric: Metric, held: dict[StreamName, Entry], name: StreamName, entry: Entry) -> None:
        del held[name]
        del entry.series.entries[entry]
        self.streams -= 1
        if not entry.series.entries and entry.series.base is None:
            del metric.series[entry.series.attributes]
            self.series -= 1

    def _fold(self, worker: Worker) -> None:
        """Adds a dead worker up for good; the tombstone keeps its later points from counting twice."""
        given_up = self.tombstones.bury(worker)
        for (descriptor, _), held in worker.entries.items():
            metric = self.metrics[descriptor]
            for name, entry in list(held.items()):
                if descriptor.kind in LASTING:
                    total, series = entry.stream.total(), entry.series
                    series.base = total if series.base is None else add(series.base, total)
                self._detach(metric, held, name, entry)
        del self.workers[worker.identity]
        self.give_up(given_up)


def entries(store: Store) -> Iterator[tuple[Worker, StreamKey, StreamName, Entry]]:
    """Every stream with its place."""
    for worker in store.workers.values():
        for key, held in worker.entries.items():
            for name, entry in held.items():
                yield worker, key, name, entry
