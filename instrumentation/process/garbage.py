"""What CPython's garbage collector does, and how long everything stands still for it.

A collection can begin at any allocation, also inside of the metrics SDK while it holds its locks. So the collector's
callback touches no instrument: it adds to plain numbers, and an export takes them from there.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from opentelemetry.metrics import Histogram, Meter

from instrumentation import semconv
from instrumentation.instruments import Buckets, histogram
from instrumentation.otlp.forks import after_fork_in_child
from instrumentation.process.observe import Reading, observe

# Shorter pauses are thousands a second and hurt nobody one by one: they are in the total alone.
_LONG_NS: Final = 1_000_000
_LONG_WAITING: Final = 4096


class Garbage:
    """The collector of this process since it began, or since it was forked.

    Args:
        meter: where the metrics go.
        buckets: boundaries that replace the registry's.
    """

    def __init__(self, meter: Meter, buckets: Buckets) -> None:
        self._begun_ns = 0
        self._paused_ns = [0, 0, 0]
        self._long: deque[tuple[int, int]] = deque(maxlen=_LONG_WAITING)
        self._before: list[dict[str, int]] = [{}, {}, {}]
        self._pauses: Histogram = histogram(meter, semconv.CPYTHON_GC_PAUSE_DURATION, buckets)
        observe(meter, semconv.CPYTHON_GC_COLLECTIONS, lambda: self._stats("collections"))
        observe(meter, semconv.CPYTHON_GC_COLLECTED_OBJECTS, lambda: self._stats("collected"))
        observe(meter, semconv.CPYTHON_GC_UNCOLLECTABLE_OBJECTS, lambda: self._stats("uncollectable"))
        observe(meter, semconv.CPYTHON_GC_PAUSE_TIME, self._take_pauses)
        after_fork_in_child(self._forked)

    def start(self) -> None:
        """Begins to measure pauses."""
        gc.callbacks.append(self.collected)

    def stop(self) -> None:
        """Ends it."""
        gc.callbacks.remove(self.collected)

    def collected(self, phase: str, info: Mapping[str, Any]) -> None:
        """The collector's callback, one at a time: collections don't nest."""
        now = time.perf_counter_ns()
        if phase == "start":
            self._begun_ns = now
        elif self._begun_ns:
            took, generation = now - self._begun_ns, info["generation"]
            self._paused_ns[generation] += took
            if took >= _LONG_NS:
                self._long.append((generation, took))

    def _take_pauses(self) -> Iterator[Reading]:
        while self._long:
            generation, took = self._long.popleft()
            self._pauses.record(took / 1e9, {semconv.CPYTHON_GC_GENERATION: generation})
        for generation, paused in enumerate(self._paused_ns):
            yield paused / 1e9, {semconv.CPYTHON_GC_GENERATION: generation}

    def _stats(self, of: str) -> Iterator[Reading]:
        for generation, stats in enumerate(gc.get_stats()):
            since = stats[of] - self._before[generation].get(of, 0)
            yield since, {semconv.CPYTHON_GC_GENERATION: generation}

    def _forked(self) -> None:
        # The interpreter's own totals go on in a child: the parent's part is the parent's to report.
        self._before = gc.get_stats()
        self._paused_ns, self._begun_ns = [0, 0, 0], 0
        self._long.clear()
