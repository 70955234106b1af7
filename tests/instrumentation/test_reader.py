"""Metrics leave at every interval and once more at the end, and can be looked at in between."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from instrumentation.guard import guard
from instrumentation.reader import IntervalReader
from tests.support.processes import wait_for


class Exporter(MetricExporter):
    """Keeps what it is given, and can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[int] = []
        self.closed = False
        self.failing = False
        self.inside = 0

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        self.inside += 1
        assert self.inside == 1
        if self.failing:
            self.inside -= 1
            raise OSError("no way")
        (resource,) = metrics_data.resource_metrics
        self.values.append(resource.scope_metrics[0].metrics[0].data.data_points[0].value)  # type: ignore[union-attr, arg-type] # a counter's
        self.inside -= 1
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        self.closed = True


def started(interval_s: float) -> tuple[Exporter, IntervalReader, MeterProvider]:
    exporter = Exporter()
    reader = IntervalReader(exporter, interval_s)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    reader.start()
    return exporter, reader, provider


def test_totals_leave_at_each_interval() -> None:
    """The thread exports by itself."""
    exporter, reader, provider = started(0.01)
    provider.get_meter("test").create_counter("c").add(3)
    wait_for(lambda: exporter.values[-2:] == [3, 3], "two exports")
    reader.shutdown(1000)


def test_what_came_since_the_last_interval_leaves_at_shutdown() -> None:
    """A long interval loses nothing; the exporter is closed; a second shutdown does nothing."""
    exporter, reader, provider = started(3600)
    provider.get_meter("test").create_counter("c").add(7)
    provider.shutdown()
    reader.shutdown(1000)
    assert exporter.values == [7]
    assert exporter.closed


def test_a_look_exports_nothing() -> None:
    """`snapshot` hands the totals back."""
    exporter, reader, provider = started(3600)
    provider.get_meter("test").create_counter("c").add(7)
    data = reader.snapshot()
    assert data is not None
    assert exporter.values == []
    assert reader.force_flush()
    assert exporter.values == [7]
    reader.shutdown(1000)


def test_a_failing_exporter_does_not_end_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted by the guard, and the next interval tries again."""
    monkeypatch.delenv("PYTEST_VERSION")
    exporter, reader, provider = started(0.01)
    exporter.failing = True
    provider.get_meter("test").create_counter("c").add(1)
    before = guard.failures
    wait_for(lambda: guard.failures > before + 1, "two failures")
    exporter.failing = False
    wait_for(lambda: exporter.values, "an export after the failures")
    reader.shutdown(1000)


def test_flushes_never_overlap_with_the_interval() -> None:
    """`MetricExporter.export` is not called concurrently (metrics SDK specification, exporter)."""
    exporter, reader, provider = started(0.001)
    provider.get_meter("test").create_counter("c").add(1)
    threads = [threading.Thread(target=reader.force_flush) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader.shutdown(1000)
    assert len(exporter.values) >= 20
