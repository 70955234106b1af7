"""A model as its service sees it: loading, predictions, feedback, each telling what it did in the registry's names."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final, ParamSpec, TypeVar, overload

from opentelemetry import metrics, trace
from opentelemetry.metrics import Observation
from opentelemetry.trace import Status, StatusCode
from opentelemetry.util.types import AttributeValue

from instrumentation import decorators, semconv
from instrumentation.batching import Batch
from instrumentation.cache import Cache
from instrumentation.clock import clock
from instrumentation.feedback import Memory, Remembered
from instrumentation.guard import guard
from instrumentation.http import error_type
from instrumentation.instruments import SCOPE, gauge, model_instruments, package_version
from instrumentation.measured import settle_abandoned
from instrumentation.prediction import Prediction
from instrumentation.redaction import Redaction
from instrumentation.settings import check_buckets

P = ParamSpec("P")
R = TypeVar("R")

_models: weakref.WeakSet[Model] = weakref.WeakSet()
_gauges_made: Final = Lock()


class Model:
    """One model in this process, one version of it at a time.

    Works with any OpenTelemetry setup, `instrument()` or not, and costs next to nothing without one. Two versions that
    answer side by side, as a canary does, are two of it.

    Args:
        name: stable over versions; the attribute `ml.model.name`.
        version: the attribute `ml.model.version`.
        role: the attribute `ml.model.role` of all its metrics: `primary`, `canary`, `shadow`; few, they are labels.
        info: further attributes of `ml.model.info` (framework, API version, ...): few values, they are labels.
        buckets: histogram boundaries by metric name, in the metric's unit, where the registry's do not fit.
        low_confidence: a prediction below it, 0 to 1, marks its trace to be kept.
        record_inputs: whether `Prediction.input` records anything, and by which rules; True: the usual ones.

    Raises:
        ValueError: an empty name, boundaries that do not rise, a confidence outside of 0 to 1.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "",
        role: str | None = None,
        info: Mapping[str, AttributeValue] | None = None,
        buckets: Mapping[str, Sequence[float]] | None = None,
        low_confidence: float | None = None,
        record_inputs: Redaction | bool = False,
    ) -> None:
        if not name:
            raise ValueError("Model(name=''): a model needs a name")
        if low_confidence is not None and not 0 <= low_confidence <= 1:
            raise ValueError(f"Model(low_confidence={low_confidence}): must be from 0 to 1")
        self.name = name
        self.role = role
        self.low_confidence = low_confidence
        self.record_inputs = Redaction() if record_inputs is True else record_inputs or None
        self._free_info = dict(info or {})
        self._become(version)
        self.loaded = False
        meter = metrics.get_meter(SCOPE, package_version())
        self.tracer = trace.get_tracer(SCOPE, package_version())
        self.instruments = model_instruments(meter, check_buckets(buckets or {}))
        self._meter = meter
        self._memory = Memory()
        _announce(self, meter)

    def _become(self, version: str) -> None:
        """Makes this the model of a version; dictionaries are replaced, for predictions in flight hold them."""
        attributes = {semconv.ML_MODEL_NAME: self.name}
        if version:
            attributes[semconv.ML_MODEL_VERSION] = version
        if self.role:
            attributes[semconv.ML_MODEL_ROLE] = self.role
        self.version = version
        self.info: dict[str, AttributeValue] = {**self._free_info, **attributes}
        self.attributes: dict[str, str] = attributes
        self._by_role: dict[str | None, dict[str, str]] = {None: attributes}

    def attributes_of(self, role: str | None) -> dict[str, str]:
        """The model's attributes in a role."""
        if (known := self._by_role.get(role)) is None:
            known = self._by_role[role] = {**self.attributes, semconv.ML_MODEL_ROLE: str(role)}
        return known

    @contextmanager
    def load(self, version: str | None = None, *, info: Mapping[str, AttributeValue] | None = None) -> Iterator[None]:
        """Measures loading: the span `load_model`, `ml.model.load.duration`, and `ml.model.loaded` once it is done.

        An exception leaves the model not loaded, is counted as an error of the stage `load`, and goes on.

        Args:
            version: reloads: the version that takes this one's place when the block has ended. Until then, and when it
                fails, the old version is reported as before; predictions that are under way stay with it.
            info: of the new version, where it differs.
        """
        begun_ns = clock.monotonic_ns()
        outcome = dict(self.attributes) if version is None else {**self.attributes, semconv.ML_MODEL_VERSION: version}
        try:
            with self.tracer.start_as_current_span("load_model", attributes=outcome) as span:
                try:
                    yield
                except BaseException as error:
                    outcome[semconv.ERROR_TYPE] = error_type(error)
                    span.set_attribute(semconv.ERROR_TYPE, outcome[semconv.ERROR_TYPE])
                    span.set_status(Status(StatusCode.ERROR, str(error)))
                    raise
            self._free_info.update(info or {})
            self._become(self.version if version is None else version)
            self.loaded = True
        except BaseException:
            self.loaded = self.loaded and version is not None
            with guard:
                self.instruments.errors.add(1, {**outcome, semconv.ML_STAGE: semconv.ML_STAGE_LOAD})
            raise
        finally:
            with guard:
                self.instruments.load.record((clock.monotonic_ns() - begun_ns) / 1e9, outcome)

    def unload(self) -> None:
        """Says that the model can no longer answer."""
        self.loaded = False

    def predict(self, *, role: str | None = None) -> Prediction:
        """One prediction, or one batch, as a context manager: see `Prediction`.

        Args:
            role: of this prediction alone: `canary`, `shadow`; told as the event `feature_flag.evaluation` too.
        """
        return Prediction(self, role or self.role)

    def batch(self, predictions: Iterable[Prediction], *, size: int | None = None) -> Batch:
        """One run of the model for several open predictions, of several requests: see `Batch`, and `Batcher`.

        Args:
            predictions: whose inputs it is run for.
            size: inputs of the batch where some belong to no prediction.
        """
        return Batch(self, predictions, size)

    @overload
    def prediction(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def prediction(
        self, /, *, role: str | None = None, result: Callable[[Any], Any] | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
    def prediction(
        self,
        function: Callable[P, R] | None = None,
        /,
        *,
        role: str | None = None,
        result: Callable[[Any], Any] | None = None,
    ) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
        """Makes each call of a function, a coroutine or a generator a prediction; what is yielded is streamed.

        What it returns is the result if it is a class, `(class, confidence)`, a `Result` or a list of such.

        Args:
            function: when used without arguments.
            role: as of `predict`.
            result: finds such a result in what is returned.
        """
        if function is not None:
            return decorators.prediction_of(self, function, role, result)
        return lambda function: decorators.prediction_of(self, function, role, result)

    def stage(self, name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Makes a function, a coroutine or a generator a stage of this model's predictions; names are labels: few."""
        return decorators.stage_of(self, name)

    def cache(self, name: str, *, size: Callable[[], int] | None = None) -> Cache:
        """Counts hits and misses of a cache of the service's own.

        Args:
            name: which cache; few, they are labels.
            size: gives its entries now; asked at each export.
        """
        return Cache(self, self._meter, name, size)

    def feedback(self, prediction_id: str, truth: str) -> bool | None:
        """Reports the true class of an earlier prediction of this process.

        Args:
            prediction_id: `Prediction.id`; in a batch, `f"{id}-{index}"`.
            truth: the true class.

        Returns:
            Whether the prediction was right; None when this process does not know it (another worker's, or older than
            the last 10,000): it is then counted with the outcome `unknown`.
        """
        truth = str(truth)
        known = self._memory.take(prediction_id)
        correct = known.predicted == truth if known else None
        outcome = {
            True: semconv.ML_FEEDBACK_OUTCOME_CORRECT,
            False: semconv.ML_FEEDBACK_OUTCOME_INCORRECT,
            None: semconv.ML_FEEDBACK_OUTCOME_UNKNOWN,
        }[correct]
        # Of the version and role that predicted, though another may have taken its place meanwhile.
        of_model = known.attributes if known else self.attributes
        attributes = {semconv.ML_FEEDBACK_CLASS: truth, semconv.ML_FEEDBACK_OUTCOME: outcome}
        with guard:
            self.instruments.feedback.add(1, {**of_model, **attributes})
            if known:
                self.instruments.feedback_delay.record((clock.monotonic_ns() - known.at_ns) / 1e9, of_model)
        return correct

    def remember(self, prediction_id: str, predicted: str | None, attributes: Mapping[str, str]) -> None:
        """Keeps a prediction's class for its feedback; the oldest goes."""
        self._memory.add(prediction_id, Remembered(predicted, attributes, clock.monotonic_ns()))

    def gauge(self, name: str, unit: str = "", description: str = "") -> Gauge:
        """A metric of the user's own, in one line: `model.gauge("drift_score").set(0.1)`.

        The metric has exactly this name, and the model's name and version as attributes.
        """
        return Gauge(self, name, unit, description)


class Gauge:
    """A gauge that carries its model's attributes."""

    def __init__(self, model: Model, name: str, unit: str, description: str) -> None:
        self._model = model
        self._gauge = model._meter.create_gauge(name, unit, description)  # noqa: SLF001 - of this room

    def set(self, value: float, **attributes: AttributeValue) -> None:
        """Sets the current value; never raises."""
        with guard:
            self._gauge.set(value, {**self._model.attributes, **attributes})


def _announce(model: Model, meter: metrics.Meter) -> None:
    """Adds a model to the two gauges that speak for all models of the process.

    One instrument for all: a second of the same name would be ignored with its callback (the SDK returns the first).
    """
    if _gauges_made.acquire(blocking=False):
        gauge(meter, semconv.ML_MODEL_LOADED, _loaded)
        gauge(meter, semconv.ML_MODEL_INFO, _infos)
    _models.add(model)


def _loaded() -> Iterable[Observation]:
    with guard:
        settle_abandoned()
    return [Observation(int(model.loaded), model.attributes) for model in list(_models)]


def _infos() -> Iterable[Observation]:
    return [Observation(1, model.info) for model in list(_models)]
