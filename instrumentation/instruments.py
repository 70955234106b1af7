"""The registry's metrics as OpenTelemetry instruments, each created in one place with its unit and buckets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation, UpDownCounter

from instrumentation import semconv
from instrumentation.semconv import Metric

SCOPE: Final = "otel-sidecar"
Buckets = Mapping[str, tuple[float, ...]]


@lru_cache(maxsize=1)
def package_version() -> str:
    """The version of this distribution; `0` in a bare source tree."""
    try:
        return version("otel-sidecar")
    except PackageNotFoundError:
        return "0"


def counter(meter: Meter, metric: Metric) -> Counter:
    """A counter as the registry has it."""
    return meter.create_counter(metric.name, metric.unit, metric.brief)


def up_down_counter(meter: Meter, metric: Metric) -> UpDownCounter:
    """An up-down counter as the registry has it."""
    return meter.create_up_down_counter(metric.name, metric.unit, metric.brief)


def histogram(meter: Meter, metric: Metric, buckets: Buckets) -> Histogram:
    """A histogram as the registry has it; `buckets` may replace its boundaries by the metric's name."""
    boundaries = buckets.get(metric.name, metric.buckets)
    return meter.create_histogram(
        metric.name, metric.unit, metric.brief, explicit_bucket_boundaries_advisory=boundaries
    )


def gauge(meter: Meter, metric: Metric, observe: Callable[[], Iterable[Observation]]) -> None:
    """A gauge that is asked at each export, so that it is right in a forked child too."""

    def callback(_: CallbackOptions) -> Iterable[Observation]:
        return observe()

    meter.create_observable_gauge(metric.name, [callback], metric.unit, metric.brief)


@dataclass(frozen=True, slots=True)
class HttpInstruments:
    """The metrics of the HTTP server."""

    active: UpDownCounter
    duration: Histogram
    first_byte: Histogram
    background: Histogram
    request_size: Histogram
    response_size: Histogram


def http_instruments(meter: Meter, buckets: Buckets) -> HttpInstruments:
    """Creates the HTTP metrics."""
    return HttpInstruments(
        active=up_down_counter(meter, semconv.HTTP_SERVER_ACTIVE_REQUESTS),
        duration=histogram(meter, semconv.HTTP_SERVER_REQUEST_DURATION, buckets),
        first_byte=histogram(meter, semconv.HTTP_SERVER_RESPONSE_FIRST_BYTE_DURATION, buckets),
        background=histogram(meter, semconv.HTTP_SERVER_BACKGROUND_DURATION, buckets),
        request_size=histogram(meter, semconv.HTTP_SERVER_REQUEST_BODY_SIZE, buckets),
        response_size=histogram(meter, semconv.HTTP_SERVER_RESPONSE_BODY_SIZE, buckets),
    )


@dataclass(frozen=True, slots=True)
class ModelInstruments:
    """The metrics of a model."""

    predictions: Counter
    active: UpDownCounter
    duration: Histogram
    confidence: Histogram
    errors: Counter
    stage: Histogram
    batch_size: Histogram
    batch_confidence: Histogram
    load: Histogram
    feedback: Counter
    feedback_delay: Histogram
    first_chunk: Histogram


def model_instruments(meter: Meter, buckets: Buckets) -> ModelInstruments:
    """Creates a model's metrics but for its gauges, which ask the model."""
    return ModelInstruments(
        predictions=counter(meter, semconv.ML_PREDICTIONS),
        active=up_down_counter(meter, semconv.ML_PREDICTIONS_ACTIVE),
        duration=histogram(meter, semconv.ML_PREDICTION_DURATION, buckets),
        confidence=histogram(meter, semconv.ML_PREDICTION_CONFIDENCE, buckets),
        errors=counter(meter, semconv.ML_PREDICTION_ERRORS),
        stage=histogram(meter, semconv.ML_STAGE_DURATION, buckets),
        batch_size=histogram(meter, semconv.ML_BATCH_SIZE, buckets),
        batch_confidence=histogram(meter, semconv.ML_BATCH_CONFIDENCE, buckets),
        load=histogram(meter, semconv.ML_MODEL_LOAD_DURATION, buckets),
        feedback=counter(meter, semconv.ML_FEEDBACK),
        feedback_delay=histogram(meter, semconv.ML_FEEDBACK_DELAY, buckets),
        first_chunk=histogram(meter, semconv.ML_PREDICTION_TIME_TO_FIRST_CHUNK, buckets),
    )
