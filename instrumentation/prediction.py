"""One call of a model, from its input to its result, as a span, its stages' spans and the `ml.*` metrics."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterable
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from instrumentation import semconv
from instrumentation.guard import guard
from instrumentation.http import error_type

if TYPE_CHECKING:
    from instrumentation.model import Model


class Result(NamedTuple):
    """One predicted output.

    Attributes:
        predicted: the class; None for a regression.
        confidence: 0 to 1; None when the model has none.
        attribute: which output of a multi-output model.
    """

    predicted: str | None = None
    confidence: float | None = None
    attribute: str | None = None


class _Measured:
    """A span that is current while its block runs; telemetry's own failures stay out of the block."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._token: Token[Context] | None = None
        self._context: Context | None = None
        self.span: Span = trace.INVALID_SPAN
        self._begun = 0.0

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        self._begun = time.perf_counter()
        with guard:
            self.span = self._model.tracer.start_span(name, attributes=attributes)
            self._context = trace.set_span_in_context(self.span)
            self._token = otel_context.attach(self._context)

    def _close(self, error: BaseException | None) -> float:
        """Ends the span and returns the seconds it took."""
        took = time.perf_counter() - self._begun
        with guard:
            if error is not None:
                self.span.set_attribute(semconv.ERROR_TYPE, error_type(error))
                self.span.set_status(Status(StatusCode.ERROR, str(error)))
            self.span.end()
            if self._token is not None:
                otel_context.detach(self._token)
        return took


class Stage(_Measured):
    """A stage of a prediction: `with p.preprocess(): ...`."""

    def __init__(self, prediction: Prediction, name: str) -> None:
        super().__init__(prediction.model)
        self._prediction = prediction
        self._name = name

    def __enter__(self) -> Self:
        """Opens the stage's span."""
        self._open(self._name, {semconv.ML_STAGE: self._name})
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Records `ml.stage.duration`; an exception is noted with this stage and goes on."""
        if error is not None:
            self._prediction.failed_in(self._name, error)
            with guard:
                self.span.record_exception(error)
        took = self._close(error)
        with guard:
            attributes = {**self._model.attributes, semconv.ML_STAGE: self._name}
            self._model.instruments.stage.record(took, attributes, self._context)


class Prediction(_Measured):
    """A prediction in progress.

    ```python
    with model.predict() as p:
        with p.preprocess(): x = decode(file)
        with p.inference(): y = net(x)
        p.result("cat", confidence=0.93)
    ```

    An exception that leaves the block counts as a failed prediction, with its type and the stage it was raised in, and
    goes on unchanged. A block that ends without a result counts as one prediction without a class.
    """

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.model = model
        self._results: list[Result] = []
        self._batch = False
        self._failed: tuple[str, BaseException] | None = None
        self._id = ""
        self._own_span = True

    @property
    def id(self) -> str:
        """Names this prediction for later feedback: its trace id and span id, so that it also finds the trace."""
        return self._id

    def __enter__(self) -> Self:
        """Counts the prediction as in flight and finds it a span.

        The first prediction of a request is what the request is for: it is told on the server span, whose children its
        stages are. Any other has a span of its own.
        """
        current = trace.get_current_span()
        with guard:
            self._own_span = not _free_server_span(current)
        if self._own_span:
            self._open(f"predict {self.model.name}", self.model.attributes)
        else:
            self._begun = time.perf_counter()
            self.span, self._context = current, otel_context.get_current()
            current.set_attributes(self.model.attributes)
        context = self.span.get_span_context()
        if context.is_valid:
            self._id = f"{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}"
        else:
            self._id = uuid.uuid4().hex
        with guard:
            self.span.set_attribute(semconv.ML_PREDICTION_ID, self._id)
            self.model.instruments.active.add(1, self.model.attributes)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Ends the span and records the metrics."""
        outcome = semconv.ML_PREDICTION_OUTCOME_SUCCESS if error is None else semconv.ML_PREDICTION_OUTCOME_ERROR
        with guard:
            self.model.instruments.active.add(-1, self.model.attributes)
            self.span.set_attribute(semconv.ML_PREDICTION_OUTCOME, outcome)
            if error is None:
                self._describe()
            elif self._failed is None or self._failed[1] is not error:
                self.span.record_exception(error)
        # A server span is its owner's to end, and whether the request failed is the response's to say.
        took = self._close(error) if self._own_span else time.perf_counter() - self._begun
        with guard:
            self._record(outcome, error, took)

    def preprocess(self) -> Stage:
        """From the request's bytes to the model's input."""
        return Stage(self, semconv.ML_STAGE_PREPROCESS)

    def inference(self) -> Stage:
        """The model itself."""
        return Stage(self, semconv.ML_STAGE_INFERENCE)

    def postprocess(self) -> Stage:
        """From the model's output to the answer."""
        return Stage(self, semconv.ML_STAGE_POSTPROCESS)

    def stage(self, name: str) -> Stage:
        """A stage of another name; few names, they are labels."""
        return Stage(self, name)

    def result(
        self, predicted: str | None = None, *, confidence: float | None = None, attribute: str | None = None
    ) -> None:
        """Says what was predicted; once for each `attribute` of a multi-output model.

        Args:
            predicted: the class; low cardinality, it is a label. None for a regression.
            confidence: 0 to 1. Another value is left out, counted and logged.
            attribute: which output.
        """
        # A class may come as numpy's integer or string: a label is text.
        predicted = None if predicted is None else str(predicted)
        self._results.append(Result(predicted, _checked(confidence), attribute))

    def results(self, batch: Iterable[Result | tuple[str | None, float | None] | str]) -> None:
        """Says what was predicted for each item of a batch: classes, `(class, confidence)` pairs or `Result`s."""
        self._batch = True
        for item in batch:
            result = Result(item) if isinstance(item, str) else Result(*item)
            self.result(result.predicted, confidence=result.confidence, attribute=result.attribute)

    def failed_in(self, stage: str, error: BaseException) -> None:
        """Notes the innermost stage an exception was raised in."""
        if self._failed is None or self._failed[1] is not error:
            self._failed = (stage, error)

    def _describe(self) -> None:
        """What the span says of the results."""
        if self._batch:
            self.span.set_attribute(semconv.ML_PREDICTION_COUNT, len(self._results))
        elif len(self._results) == 1:
            only = self._results[0]
            if only.predicted is not None:
                self.span.set_attribute(semconv.ML_PREDICTION_CLASS, only.predicted)
            if only.confidence is not None:
                self.span.set_attribute(semconv.ML_PREDICTION_SCORE, only.confidence)

    def _record(self, outcome: str, error: BaseException | None, took: float) -> None:
        instruments, attributes, context = self.model.instruments, self.model.attributes, self._context
        ended = {**attributes, semconv.ML_PREDICTION_OUTCOME: outcome}
        instruments.duration.record(took, ended, context)
        if error is not None:
            stage = self._failed[0] if self._failed and self._failed[1] is error else semconv.ML_STAGE_PREDICT
            failure = {semconv.ML_STAGE: stage, semconv.ERROR_TYPE: error_type(error)}
            instruments.errors.add(1, {**attributes, **failure}, context)
            instruments.predictions.add(1, ended, context)
            return
        results = self._results if self._batch or self._results else [Result()]
        for index, result in enumerate(results):
            described = _described(result)
            instruments.predictions.add(1, {**ended, **described}, context)
            if result.confidence is not None:
                instruments.confidence.record(result.confidence, {**attributes, **described}, context)
            self.model.remember(f"{self._id}-{index}" if self._batch else self._id, result.predicted)
        if self._batch:
            self._record_batch(context)

    def _record_batch(self, context: Context | None) -> None:
        instruments, attributes = self.model.instruments, self.model.attributes
        instruments.batch_size.record(len(self._results), attributes, context)
        confidences = [result.confidence for result in self._results if result.confidence is not None]
        if confidences:
            instruments.batch_confidence.record(sum(confidences) / len(confidences), attributes, context)


def _free_server_span(span: Span) -> bool:
    """Whether this is a server span that no prediction has been told on yet."""
    if not span.is_recording() or getattr(span, "kind", None) is not SpanKind.SERVER:
        return False
    return semconv.ML_PREDICTION_ID not in (getattr(span, "attributes", None) or ())


def _described(result: Result) -> dict[str, str]:
    described = {}
    if result.predicted is not None:
        described[semconv.ML_PREDICTION_CLASS] = result.predicted
    if result.attribute is not None:
        described[semconv.ML_PREDICTION_ATTRIBUTE] = result.attribute
    return described


def _checked(confidence: float | None) -> float | None:
    """The confidence as a Python float (numpy's are no OTel value), or None for one that cannot be."""
    if confidence is None:
        return None
    with guard:
        number = float(confidence)
        if not (math.isfinite(number) and 0 <= number <= 1):
            raise ValueError(f"confidence={number}: must be from 0 to 1; the prediction is counted without it")
        return number
    return None
