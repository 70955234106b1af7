"""Telemetry in memory: `instrument()` and `Model` use the providers that an application has set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricsData,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

_SPANS = InMemorySpanExporter()
# Delta: each look shows what came since the last, so tests do not see each other's counts.
_TEMPORALITY: dict[type, AggregationTemporality] = {
    Counter: AggregationTemporality.DELTA,
    Histogram: AggregationTemporality.DELTA,
    UpDownCounter: AggregationTemporality.CUMULATIVE,
}
_READER = InMemoryMetricReader(preferred_temporality=_TEMPORALITY)


@dataclass
class Point:
    """One data point as tests look at it."""

    attributes: dict[str, Any]
    value: Any
    exemplars: tuple[Any, ...]
    boundaries: tuple[float, ...] = ()
    count: int = 0


class Telemetry:
    """What was recorded since the test began."""

    def spans(self) -> list[ReadableSpan]:
        return list(_SPANS.get_finished_spans())

    def span(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans() if span.name == name]
        return found

    def metrics(self) -> dict[str, list[Point]]:
        """All points by metric name; taking them empties the deltas."""
        return points(_READER.get_metrics_data())


def points(data: MetricsData | None) -> dict[str, list[Point]]:
    """All points of a collection by metric name."""
    found: dict[str, list[Point]] = {}
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found.setdefault(metric.name, []).extend(_point(point) for point in metric.data.data_points)
    return found


def _point(point: Any) -> Point:
    attributes = dict(point.attributes or {})
    exemplars = tuple(getattr(point, "exemplars", ()))
    if isinstance(point, HistogramDataPoint):
        return Point(attributes, point.sum, exemplars, tuple(point.explicit_bounds), point.count)
    return Point(attributes, point.value, exemplars)


def set_providers() -> None:
    """Sets the process's providers, which can be done once."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(_SPANS))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=[_READER], shutdown_on_exit=False))


def forget() -> None:
    """Empties what was recorded so far."""
    _SPANS.clear()
    _READER.get_metrics_data()


def only(points: list[Point], **attributes: Any) -> Point:
    """The one point that has these attributes (dots as double underscores)."""
    wanted: Mapping[str, Any] = {key.replace("__", "."): value for key, value in attributes.items()}
    (found,) = [point for point in points if wanted.items() <= point.attributes.items()]
    return found
