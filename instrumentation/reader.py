"""Collects metrics every few seconds, because the SDK's own periodic reader restarts itself in a forked child.

There it would export the parent's totals under the child's identity (opentelemetry-python PR #4767). This one does
nothing in a child; the providers start afresh with a new reader (see `meters.py`).
"""

from __future__ import annotations

import threading
import time
from typing import Any

from opentelemetry import context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, MetricsData

from instrumentation.guard import guard


class IntervalReader(MetricReader):
    """A metric reader with a thread of its own that exports at a fixed interval, and once more at shutdown.

    Args:
        exporter: where collected metrics go; its `export` is never called concurrently.
        interval_s: seconds between exports.
        timeout_s: seconds one collection may take.
    """

    def __init__(self, exporter: MetricExporter, interval_s: float, timeout_s: float = 30.0) -> None:
        super().__init__(
            preferred_temporality=exporter._preferred_temporality,  # noqa: SLF001 - as the SDK's own readers take it
            preferred_aggregation=exporter._preferred_aggregation,  # noqa: SLF001
        )
        self._exporter = exporter
        self._interval_s = interval_s
        self._timeout_ms = timeout_s * 1000
        self._stop = threading.Event()
        # Held while exporting, by the ticker or by a flush.
        self._export_lock = threading.Lock()
        # Set in a thread that only looks (`snapshot`): what it collects is handed back, not exported.
        self._looking = threading.local()
        self._thread = threading.Thread(target=self._tick, name="otel-sidecar-metrics", daemon=True)

    def start(self) -> None:
        """Begins the interval; apart from the constructor because the provider must know the reader first."""
        self._thread.start()

    def _tick(self) -> None:
        due = time.monotonic() + self._interval_s
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += self._interval_s
            with guard:
                self.collect(timeout_millis=self._timeout_ms)
            # After a suspended or starved process: no burst of missed exports.
            due = max(due, time.monotonic())

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:
        if getattr(self._looking, "into", None) is not None:
            self._looking.into.append(metrics_data)
            return
        token = context.attach(context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            with self._export_lock:
                self._exporter.export(metrics_data, timeout_millis=timeout_millis)
        finally:
            context.detach(token)

    def snapshot(self) -> MetricsData | None:
        """The current totals, without an export (for cumulative temporality only: a look must not change them)."""
        self._looking.into = found = list[MetricsData]()
        try:
            self.collect()
        finally:
            self._looking.into = None
        return found[0] if found else None

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Exports now, in the calling thread; returns whether nothing went wrong."""
        failures = guard.failures
        with guard:
            self.collect(timeout_millis=timeout_millis)
        return guard.failures == failures

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Stops the interval, exports what came since and closes the exporter, within the timeout."""
        if self._stop.is_set():
            return
        self._stop.set()
        deadline = time.monotonic() + timeout_millis / 1000
        if self._thread.is_alive():
            self._thread.join(timeout_millis / 1000)
        with guard:
            self.collect(timeout_millis=max(0.0, deadline - time.monotonic()) * 1000)
        self._exporter.shutdown(timeout_millis=max(0.0, deadline - time.monotonic()) * 1000)
