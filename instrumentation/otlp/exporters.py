"""The SDK's three exporter interfaces over our own encoder and client, so that the SDK's pipelines can use them.

    exporter = OtlpSpanExporter(OtlpSettings.read(os.environ, OtlpSignal.TRACES))
    provider.add_span_processor(BatchSpanProcessor(exporter))

At the end of a process call `begin_shutdown()` of each exporter before the providers' `shutdown()`. The SDK's batch
processor waits for its last exports (up to 30 s) before it tells the exporter anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from instrumentation.otlp.account import Stats
from instrumentation.otlp.logs import encode_logs
from instrumentation.otlp.metrics import encode_metrics
from instrumentation.otlp.settings import HistogramKind, OtlpSettings, Temporality
from instrumentation.otlp.shipping import Goods, Shipping
from instrumentation.otlp.split import count_points, halve_metrics, halve_sequence
from instrumentation.otlp.traces import encode_spans

ResourceOf = Callable[[], Resource]

_SPANS: Final[Goods[Sequence[ReadableSpan]]] = Goods("spans", encode_spans, len, halve_sequence)
_POINTS: Final[Goods[MetricsData]] = Goods(
    "data points",
    encode_metrics,
    count_points,
    halve_metrics,
    lambda settings: settings.temporality is Temporality.CUMULATIVE,
)
_RECORDS: Final[Goods[Sequence[ReadableLogRecord]]] = Goods("log records", encode_logs, len, halve_sequence)

_DELTA: Final[Mapping[Temporality, frozenset[type]]] = {
    Temporality.CUMULATIVE: frozenset(),
    Temporality.DELTA: frozenset({Counter, Histogram, ObservableCounter}),
    Temporality.LOWMEMORY: frozenset({Counter, Histogram}),
}
_INSTRUMENTS: Final = (Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge)


class _Outgoing:
    """What the exporters share: their numbers and their end.

    Args:
        shipping: the way out.
    """

    def __init__(self, shipping: Shipping[Any]) -> None:
        self._shipping = shipping

    @property
    def stats(self) -> Stats:
        """Exported and lost items of this process, by reason."""
        return self._shipping.account.stats

    def begin_shutdown(self, timeout_s: float | None = None) -> None:
        """Bounds all that is still to be exported to `final_timeout_s` (or less, when given); for before `shutdown`."""
        self._shipping.client.begin_shutdown(timeout_s)

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Ends within `final_timeout_s` or the given milliseconds, whichever is less. Later exports are lost."""
        self._shipping.client.shutdown(timeout_millis / 1000)

    def force_flush(self, timeout_millis: float = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        """Nothing waits here: the SDK's processors hold what is to be sent."""
        return True


class OtlpSpanExporter(_Outgoing, SpanExporter):
    """Spans over OTLP/HTTP.

    Args:
        settings: where to and how.
        resource: the resource to send instead of the spans' own, which in a forked process is the parent's.
    """

    def __init__(self, settings: OtlpSettings, resource: ResourceOf | None = None) -> None:
        super().__init__(Shipping(settings, _SPANS, resource))

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends ended spans, within `timeout_s` with all tries."""
        return SpanExportResult.SUCCESS if self._shipping.ship(spans) else SpanExportResult.FAILURE


class OtlpMetricExporter(_Outgoing, MetricExporter):
    """Metrics over OTLP/HTTP.

    Args:
        settings: where to and how.
        resource: the resource to send instead of the data's own, which in a forked process is the parent's.
    """

    def __init__(self, settings: OtlpSettings, resource: ResourceOf | None = None) -> None:
        _Outgoing.__init__(self, Shipping(settings, _POINTS, resource))
        MetricExporter.__init__(
            self,
            preferred_temporality=_temporality(settings.temporality),
            preferred_aggregation=_aggregation(settings.histogram),
        )

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,
        **_: Any,
    ) -> MetricExportResult:
        """Sends what a reader collected, within `timeout_s` or the given milliseconds, whichever is less."""
        arrived = self._shipping.ship(metrics_data, timeout_millis / 1000)
        return MetricExportResult.SUCCESS if arrived else MetricExportResult.FAILURE


class OtlpLogExporter(_Outgoing, LogRecordExporter):
    """Log records over OTLP/HTTP.

    Args:
        settings: where to and how.
        resource: the resource to send instead of the records' own, which in a forked process is the parent's.
    """

    def __init__(self, settings: OtlpSettings, resource: ResourceOf | None = None) -> None:
        super().__init__(Shipping(settings, _RECORDS, resource))

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Sends log records, within `timeout_s` with all tries."""
        return LogRecordExportResult.SUCCESS if self._shipping.ship(batch) else LogRecordExportResult.FAILURE


def _temporality(preference: Temporality) -> dict[type, AggregationTemporality]:
    delta = _DELTA[preference]
    return {
        kind: AggregationTemporality.DELTA if kind in delta else AggregationTemporality.CUMULATIVE
        for kind in _INSTRUMENTS
    }


def _aggregation(kind: HistogramKind) -> dict[type, Aggregation]:
    exponential = kind is HistogramKind.EXPONENTIAL
    return {Histogram: ExponentialBucketHistogramAggregation() if exponential else ExplicitBucketHistogramAggregation()}
