"""Metrics for tests of the page: by hand for single figures, from the real SDK for the whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from sidecar import semconv
from sidecar.batch import Batch, Signal
from sidecar.bridge.model import Attributes, HistogramValue
from sidecar.page.readings import Key, Number, Reading
from sidecar.semconv import Metric

MODEL: Attributes = (("ml.model.name", "catvsdog"), ("ml.model.version", "1.4.0"))
PREDICTION = semconv.ML_PREDICTIONS
OK: Attributes = (*MODEL, ("ml.prediction.outcome", "success"))
ERROR: Attributes = (*MODEL, ("ml.prediction.outcome", "error"))

Measured: TypeAlias = tuple[Attributes, HistogramValue]


def recorded(metric: Metric, count: int, value: float) -> HistogramValue:
    """`count` times one value, in the registry's buckets."""
    at = sum(bound < value for bound in metric.buckets)
    counts = [0] * (len(metric.buckets) + 1)
    counts[at] = count
    return HistogramValue(tuple(float(bound) for bound in metric.buckets), tuple(counts), count * value, count)


def duration_of(
    count: int, seconds: float, *, status: str = "200", route: str = "/predict", method: str = "POST"
) -> Measured:
    """HTTP requests of one duration."""
    attributes = (
        (semconv.HTTP_REQUEST_METHOD, method),
        (semconv.HTTP_ROUTE, route),
        (semconv.HTTP_RESPONSE_STATUS_CODE, status),
    )
    return attributes, recorded(semconv.HTTP_SERVER_REQUEST_DURATION, count, seconds)


def reading(
    durations: Iterable[Measured] = (),
    counts: Iterable[tuple[Metric, Attributes, Number]] = (),
    histograms: Iterable[tuple[Metric, Attributes, HistogramValue]] = (),
    loaded: int | None = None,
) -> Reading:
    """A reading by hand."""
    numbers: dict[Key, Number] = {(metric.name, attributes): value for metric, attributes, value in counts}
    if loaded is not None:
        numbers[semconv.ML_MODEL_LOADED.name, MODEL] = loaded
    values = {(metric.name, attributes): value for metric, attributes, value in histograms}
    values |= {(semconv.HTTP_SERVER_REQUEST_DURATION.name, attributes): value for attributes, value in durations}
    return Reading(numbers, values)


class Worker:
    """A service process: the real SDK's instruments with the registry's names, exported by the real encoder."""

    def __init__(self, instance: str, service: str = "catvsdog-api") -> None:
        self._reader = InMemoryMetricReader()
        resource = Resource({"service.name": service, "service.version": "2.1", "service.instance.id": instance})
        meter = MeterProvider([self._reader], resource=resource, shutdown_on_exit=False).get_meter("test")
        self._counters = {
            metric.name: meter.create_counter(metric.name, metric.unit)
            for metric in (semconv.ML_PREDICTIONS, semconv.ML_PREDICTION_ERRORS)
        }
        self._histograms = {
            metric.name: meter.create_histogram(
                metric.name, metric.unit, explicit_bucket_boundaries_advisory=metric.buckets
            )
            for metric in semconv.METRICS
            if metric.instrument == "histogram"
        }
        self._gauges = {
            metric.name: meter.create_gauge(metric.name) for metric in (semconv.ML_MODEL_LOADED, semconv.ML_MODEL_INFO)
        }

    def add(self, metric: Metric, amount: int = 1, **attributes: str) -> None:
        self._counters[metric.name].add(amount, dotted(attributes))

    def record(self, metric: Metric, value: float, **attributes: str) -> None:
        self._histograms[metric.name].record(value, dotted(attributes))

    def set(self, metric: Metric, value: float, **attributes: str) -> None:
        self._gauges[metric.name].set(value, dotted(attributes))

    def request(self, seconds: float, route: str = "/predict", status: str = "200", method: str = "POST") -> None:
        """One HTTP request."""
        self.record(
            semconv.HTTP_SERVER_REQUEST_DURATION,
            seconds,
            http__request__method=method,
            http__route=route,
            http__response__status_code=status,
        )

    def predict(self, label: str, confidence: float, seconds: float = 0.02) -> None:
        """One successful prediction with its two stages."""
        model = dict(MODEL)
        self.add(PREDICTION, 1, **model, **{"ml.prediction.class": label, "ml.prediction.outcome": "success"})
        self.record(semconv.ML_PREDICTION_CONFIDENCE, confidence, **model, **{"ml.prediction.class": label})
        self.record(semconv.ML_PREDICTION_DURATION, seconds, **model)
        self.record(semconv.ML_STAGE_DURATION, seconds * 0.75, **model, **{"ml.stage": "preprocess"})
        self.record(semconv.ML_STAGE_DURATION, seconds * 0.25, **model, **{"ml.stage": "inference"})

    def export(self, received_ns: int) -> Batch:
        """What the exporter sends now."""
        data = self._reader.get_metrics_data()
        if data is None:
            raise ValueError("nothing was recorded")
        return Batch(Signal.METRICS, encode_metrics(data).SerializeToString(), 1, received_ns)


def dotted(attributes: dict[str, str]) -> dict[str, str]:
    """`http__route` is `http.route`."""
    return {key.replace("__", "."): value for key, value in attributes.items()}
