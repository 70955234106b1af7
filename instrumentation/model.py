"""A model as its service sees it: loading, predictions, feedback, each telling what it did in the registry's names."""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.metrics import Observation
from opentelemetry.trace import Status, StatusCode
from opentelemetry.util.types import AttributeValue

from instrumentation import semconv
from instrumentation.guard import guard
from instrumentation.http import error_type
from instrumentation.instruments import SCOPE, gauge, model_instruments, package_version
from instrumentation.prediction import Prediction
from instrumentation.settings import check_buckets

# Predictions whose class is remembered for feedback: about 2 MB at most.
_REMEMBERED: Final = 10_000

_models: weakref.WeakSet[Model] = weakref.WeakSet()
_gauges_made = Lock()


class Model:
    """One version of a model in this process.

    Works with any OpenTelemetry setup, `instrument()` or not, and costs next to nothing without one.

    Args:
        name: stable over versions; the attribute `ml.model.name`.
        version: the attribute `ml.model.version`.
        info: further attributes of `ml.model.info` (framework, API version, ...): few values, they are labels.
        buckets: histogram boundaries by metric name, in the metric's unit, where the registry's do not fit.

    Raises:
        ValueError: an empty name, or boundaries that do not rise.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "",
        info: Mapping[str, AttributeValue] | None = None,
        buckets: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        if not name:
            raise ValueError("Model(name=''): a model needs a name")
        self.name = name
        self.version = version
        self.attributes: dict[str, str] = {semconv.ML_MODEL_NAME: name}
        if version:
            self.attributes[semconv.ML_MODEL_VERSION] = version
        self.info: dict[str, AttributeValue] = {**(info or {}), **self.attributes}
        self.loaded = False
        meter = metrics.get_meter(SCOPE, package_version())
        self.tracer = trace.get_tracer(SCOPE, package_version())
        self.instruments = model_instruments(meter, check_buckets(buckets or {}))
        self._meter = meter
        self._remembered: OrderedDict[str, str | None] = OrderedDict()
        self._remember_lock = Lock()
        _announce(self, meter)

    @contextmanager
    def load(self) -> Iterator[None]:
        """Measures loading: the span `load_model`, `ml.model.load.duration`, and `ml.model.loaded` once it is done.

        An exception leaves the model not loaded, is counted as an error of the stage `load`, and goes on.
        """
        begun = time.perf_counter()
        outcome = dict(self.attributes)
        try:
            with self.tracer.start_as_current_span("load_model", attributes=self.attributes) as span:
                try:
                    yield
                except BaseException as error:
                    outcome[semconv.ERROR_TYPE] = error_type(error)
                    span.set_attribute(semconv.ERROR_TYPE, outcome[semconv.ERROR_TYPE])
                    span.set_status(Status(StatusCode.ERROR, str(error)))
                    raise
            self.loaded = True
        except BaseException:
            self.loaded = False
            with guard:
                self.instruments.errors.add(1, {**outcome, semconv.ML_STAGE: semconv.ML_STAGE_LOAD})
            raise
        finally:
            with guard:
                self.instruments.load.record(time.perf_counter() - begun, outcome)

    def unload(self) -> None:
        """Says that the model can no longer answer."""
        self.loaded = False

    def predict(self) -> Prediction:
        """One prediction, or one batch, as a context manager: see `Prediction`."""
        return Prediction(self)

    def feedback(self, prediction_id: str, truth: str) -> bool | None:
        """Reports the true class of an earlier prediction of this process.

        Args:
            prediction_id: `Prediction.id`; in a batch, `f"{id}-{index}"`.
            truth: the true class.

        Returns:
            Whether the prediction was right; None when this process does not know it (another worker's, or older than
            the last 10,000): it is then counted with the outcome `unknown`.
        """
        with self._remember_lock:
            known = prediction_id in self._remembered
            predicted = self._remembered.pop(prediction_id, None)
        correct = predicted == truth if known else None
        outcome = {
            True: semconv.ML_FEEDBACK_OUTCOME_CORRECT,
            False: semconv.ML_FEEDBACK_OUTCOME_INCORRECT,
            None: semconv.ML_FEEDBACK_OUTCOME_UNKNOWN,
        }[correct]
        attributes = {semconv.ML_FEEDBACK_CLASS: truth, semconv.ML_FEEDBACK_OUTCOME: outcome}
        with guard:
            self.instruments.feedback.add(1, {**self.attributes, **attributes})
        return correct

    def remember(self, prediction_id: str, predicted: str | None) -> None:
        """Keeps a prediction's class for its feedback; the oldest goes."""
        with self._remember_lock:
            self._remembered[prediction_id] = predicted
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)

    def gauge(self, name: str, unit: str = "", description: str = "") -> Gauge:
        """A metric of the user's own, in one line: `model.gauge("drift_score").set(0.1)`.

        The metric has exactly this name, and the model's name and version as attributes.
        """
        return Gauge(self, name, unit, description)


class Gauge:
    """A gauge that carries its model's attributes."""

    def __init__(self, model: Model, name: str, unit: str, description: str) -> None:
        self._attributes = model.attributes
        self._gauge = model._meter.create_gauge(name, unit, description)  # noqa: SLF001 - of this room

    def set(self, value: float, **attributes: AttributeValue) -> None:
        """Sets the current value; never raises."""
        with guard:
            self._gauge.set(value, {**self._attributes, **attributes})


def _announce(model: Model, meter: metrics.Meter) -> None:
    """Adds a model to the two gauges that speak for all models of the process.

    One instrument for all: a second of the same name would be ignored with its callback (the SDK returns the first).
    """
    if _gauges_made.acquire(blocking=False):
        gauge(meter, semconv.ML_MODEL_LOADED, _loaded)
        gauge(meter, semconv.ML_MODEL_INFO, _infos)
    _models.add(model)


def _loaded() -> Iterable[Observation]:
    return [Observation(int(model.loaded), model.attributes) for model in list(_models)]


def _infos() -> Iterable[Observation]:
    return [Observation(1, model.info) for model in list(_models)]
