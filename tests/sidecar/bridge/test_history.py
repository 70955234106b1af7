"""Random histories of a pod against a plain model: the merged total is what arrived, and never falls.

Workers count, export, are killed and restarted, some under one shared identity; exports are lost, split, repeated,
reordered and late; the sidecar is killed at any moment and goes on from its state file.
"""

from __future__ import annotations

import shutil
import tempfile
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from sidecar.batch import Accepted, Batch, Signal
from sidecar.bridge import Bridge, BridgeSettings, Limits
from sidecar.bridge.model import HistogramValue
from tests.support import otlp_metrics as otlp
from tests.support.prometheus import parse_text

SECOND = 1_000_000_000
BOUNDS = (0.1, 0.5, 1.0)
CLASSES = ("cat", "dog")
COUNTED = ("predictions", "latency")


@dataclass
class Process:
    """One real process: what it has counted, by class."""

    identity: str
    start: int
    delta: bool
    counts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)
    window: int = 0
    alive: bool = True

    def export(self, time: int) -> list[Sent]:
        """The points of one collection, one message each (an exporter may split them as it likes)."""
        start = self.window if self.delta else self.start
        sent = [Sent(self, "predictions", label, start, time, count, ()) for label, count in self.counts.items()] + [
            Sent(self, "latency", label, start, time, 0, tuple(found)) for label, found in self.samples.items()
        ]
        if self.delta:
            self.window, self.counts, self.samples = time, {}, {}
        return sent


@dataclass(frozen=True)
class Sent:
    """One point on its way."""

    process: Process
    metric: str
    label: str
    start: int
    time: int
    count: int
    samples: tuple[float, ...]

    def metric_message(self) -> pb.Metric:
        labels = {"class": self.label}
        if self.metric == "predictions":
            point = otlp.point(self.count, labels, start=self.start, time=self.time)
            return otlp.counter("predictions", point, delta=self.process.delta)
        made = otlp.histogram_point(
            BOUNDS, _buckets(self.samples), sum(self.samples), labels, start=self.start, time=self.time
        )
        return otlp.histogram("latency", made, delta=self.process.delta)


def _buckets(samples: tuple[float, ...]) -> list[int]:
    counts = [0] * (len(BOUNDS) + 1)
    for sample in samples:
        counts[bisect_left(BOUNDS, sample)] += 1
    return counts


Key = tuple[str, str]
Stream = tuple[int, str, str]
Totals = dict[Key, tuple[int, tuple[int, ...]]]


class Pod(RuleBasedStateMachine):
    """The model knows which points arrived; the newest of each stream (each window, of deltas) is what counts."""

    limits = Limits()

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.now = 1_000 * SECOND
        self.processes: list[Process] = []
        self.late: list[Sent] = []
        self.arrived: dict[Stream, dict[int, Sent]] = {}
        self.saved: dict[Stream, dict[int, Sent]] = {}
        self.seen: dict[str, float] = {}
        self.bridge = self._start()

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    def _start(self) -> Bridge:
        return Bridge(BridgeSettings(state_dir=self.directory, limits=self.limits), now_ns=lambda: self.now)

    def _tick(self) -> int:
        self.now += SECOND // 3
        return self.now

    def alive(self) -> list[Process]:
        return [process for process in self.processes if process.alive]

    @initialize(delta=st.booleans())
    def one_worker(self, *, delta: bool) -> None:
        self.new_worker(shared=False, delta=delta)

    @rule(shared=st.booleans(), delta=st.booleans())
    def new_worker(self, *, shared: bool, delta: bool) -> None:
        start = self._tick()
        identity = "shared" if shared else f"w{len(self.processes)}"
        self.processes.append(Process(identity, start, delta and not shared, window=start))

    @precondition(lambda self: self.alive())
    @rule(
        data=st.data(),
        work=st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from([0.05, 0.3, 2.0])), min_size=1, max_size=4),
        fate=st.sampled_from(["arrives", "arrives", "lost", "late", "half", "twice"]),
    )
    def work_and_export(self, data: st.DataObject, work: list[tuple[str, float]], fate: str) -> None:
        """With a cumulative SDK a lost export does no harm: the next one holds it all."""
        process = data.draw(st.sampled_from(self.alive()))
        for label, sample in work:
            process.counts[label] = process.counts.get(label, 0) + 1
            process.samples.setdefault(label, []).append(sample)
        sent = process.export(self._tick())
        if fate == "late":
            self.late += sent
        elif fate == "half":
            half = len(sent) // 2
            self._deliver(sent[:half])
            self.late += sent[half:]
        elif fate != "lost":
            self._deliver(sent)
            if fate == "twice":
                self._deliver(sent)

    @precondition(lambda self: self.late)
    @rule(data=st.data(), again=st.booleans())
    def late_export_arrives(self, data: st.DataObject, *, again: bool) -> None:
        sent = data.draw(st.sampled_from(self.late))
        self._deliver([sent])
        if not again:
            self.late.remove(sent)

    @precondition(lambda self: len(self.alive()) > 1)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.alive())).alive = False

    @rule(seconds=st.sampled_from([1, 10, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    def compare(self, found: Totals, expected: Totals) -> None:
        assert found == expected

    @rule()
    def scrape(self) -> None:
        """Nothing that was seen before is less now, and everything is what the model says."""
        body = self.bridge.expose().body.decode()
        self.saved = {stream: dict(points) for stream, points in self.arrived.items()}
        found = {
            f"{sample.name}{sorted(sample.labels.items())}": sample.value
            for family in parse_text(body)
            if family.name in COUNTED
            for sample in family.samples
        }
        for name, value in self.seen.items():
            assert found[name] >= value, f"{name} fell from {value} to {found[name]}"
        self.seen = found

    @rule()
    def the_sidecar_is_killed(self) -> None:
        """No close(): what came after the last scrape is lost unless its worker goes on."""
        assert self.bridge._state
        self.bridge._state.close()  # the lock alone goes with the process
        self.bridge = self._start()
        self.arrived = {stream: dict(points) for stream, points in self.saved.items()}

    def _deliver(self, sent: list[Sent]) -> None:
        if not sent:
            return
        body = otlp.request({"service.instance.id": sent[0].process.identity}, *(one.metric_message() for one in sent))
        assert self.bridge.offer(Batch(Signal.METRICS, body, len(sent), self.now)) == Accepted()
        for one in sent:
            held = self.arrived.setdefault((id(one.process), one.metric, one.label), {})
            if one.process.delta:
                held[one.time] = one
            elif not held or one.time > max(held):
                held.clear()
                held[one.time] = one

    def _expected(self) -> Totals:
        totals: Totals = {}
        for (_, metric, label), points in self.arrived.items():
            count, buckets = totals.get((metric, label), (0, (0,) * (len(BOUNDS) + 1)))
            for one in points.values():
                count += one.count
                buckets = tuple(a + b for a, b in zip(buckets, _buckets(one.samples), strict=True))
            totals[metric, label] = (count, buckets)
        return totals

    @invariant()
    def the_total_is_what_arrived(self) -> None:
        found: Totals = {}
        for family in self.bridge.families():
            for series in family.series:
                key = (family.name, dict(series.attributes)["class"])
                value = series.value
                if isinstance(value, HistogramValue):
                    assert value.bounds == BOUNDS
                    assert list(accumulate(value.counts))[-1] == value.count
                    found[key] = (0, value.counts)
                else:
                    assert isinstance(value, int)
                    found[key] = (value, (0,) * (len(BOUNDS) + 1))
        self.compare(found, self._expected())


class SleepyPod(Pod):
    """Ended workers are added up for good at once; what they send later is exact all the same."""

    limits = Limits(dead_streams=0, dead_kept_ns=0)


class CrampedPod(Pod):
    """With hardly any memory for ended workers: what comes late may be missed, and nothing is ever counted twice."""

    limits = Limits(dead_streams=2, dead_kept_ns=0, tombstone_bytes=0)

    def compare(self, found: Totals, expected: Totals) -> None:
        assert found.keys() <= expected.keys()
        for key, (count, buckets) in found.items():
            assert count <= expected[key][0]
            assert all(a <= b for a, b in zip(buckets, expected[key][1], strict=True))


TestPod = Pod.TestCase
TestPod.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSleepyPod = SleepyPod.TestCase
TestSleepyPod.settings = TestPod.settings
TestCrampedPod = CrampedPod.TestCase
TestCrampedPod.settings = TestPod.settings
