"""One call of a model, from its input to its result, as a span, its stages' spans and the `ml.*` metrics."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import AsyncIterable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, overload
from weakref import ReferenceType, ref

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext, SpanKind

from instrumentation import limits, semconv
from instrumentation.clock import clock
from instrumentation.guard import guard
from instrumentation.http import error_type
from instrumentation.keep import request_keep
from instrumentation.measured import Call, Stage, abandoned, in_call, settle_abandoned
from instrumentation.streaming import AsyncStream, Stream

if TYPE_CHECKING:
    from instrumentation.model import Model

T = TypeVar("T")

# https://opentelemetry.io/docs/specs/semconv/feature-flags/feature-flags-events/
FLAG_EVENT: Final = "feature_flag.evaluation"


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


class Prediction(Call):
    """A prediction in progress, in `with` or `async with`.

    ```python
    with model.predict() as p:
        with p.preprocess(): x = decode(file)
        with p.inference(): y = net(x)
        p.result("cat", confidence=0.93)
    ```

    An exception that leaves the block counts as a failed prediction, with its type and the stage it was raised in, and
    goes on unchanged. A block that ends without a result counts as one prediction without a class.
    """

    # What few predictions use costs the others nothing: it is the class's until it is set.
    _batch = False
    _own_span = True
    _handed_out = False
    _chunks = 0
    _cut = 0
    _events = 0
    _names: frozenset[str] = frozenset()
    _stream: ReferenceType[Stream[Any] | AsyncStream[Any]] | None = None
    _wait: Stage | None = None

    def __init__(self, model: Model, role: str | None) -> None:
        super().__init__(model, model.attributes_of(role))
        self._role = role
        self._results: list[Result] = []
        self._id = ""

    @property
    def id(self) -> str:
        """Names this prediction for later feedback: its trace id and span id, so that it also finds the trace."""
        return self._id

    def begin(self) -> None:
        """Counts the prediction as in flight and finds it a span.

        The first prediction of a request is what the request is for: it is told on the server span, whose children its
        stages are. Any other has a span of its own, and so has a shadow, for which no request came.
        """
        if abandoned:
            settle_abandoned()
        parent = in_call(self, otel_context.get_current())
        current = trace.get_current_span(parent)
        with guard:
            self._own_span = self._role == semconv.ML_MODEL_ROLE_SHADOW or not _free_server_span(current)
        if self._own_span:
            self._start(f"predict {self.model.name}", parent, self.attributes)
        else:
            self._wall_ns, self._begun_ns = clock.wall_ns(), clock.monotonic_ns()
            self.span, self.context = current, parent
            with guard:
                current.set_attributes(self.attributes)
        context = self.span.get_span_context()
        if context.is_valid:
            self._id = f"{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}"
        else:
            self._id = uuid.uuid4().hex
        with guard:
            self.span.set_attribute(semconv.ML_PREDICTION_ID, self._id)
            self.model.instruments.active.add(1, self.attributes)
            if self._role is not None:
                evaluated = {
                    semconv.FEATURE_FLAG_KEY: self.model.name,
                    semconv.FEATURE_FLAG_RESULT_VARIANT: self._role,
                }
                self.span.add_event(FLAG_EVENT, evaluated)

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Ends the prediction, unless a stream was handed out that goes on: then that one's end is its end."""
        self._leave()
        if error is None and self._stream is not None and self._stream() is not None:
            self._handed_out = True
        else:
            self.finish(error)

    def result(
        self, predicted: str | None = None, *, confidence: float | None = None, attribute: str | None = None
    ) -> None:
        """Says what was predicted; once for each `attribute` of a multi-output model.

        Args:
            predicted: the class; low cardinality, it is a label. None for a regression.
            confidence: 0 to 1. Another value is left out, counted and logged. One below the model's `low_confidence`
                marks the trace to be kept.
            attribute: which output.
        """
        # A class may come as numpy's integer or string: a label is text.
        predicted = None if predicted is None else str(predicted)
        confidence = _checked(confidence)
        self._results.append(Result(predicted, confidence, attribute))
        low = self.model.low_confidence
        if low is not None and confidence is not None and confidence < low:
            with guard:
                request_keep(self.context).keep(semconv.OTEL_SIDECAR_KEEP_REASON_LOW_CONFIDENCE)

    def results(self, batch: Iterable[Result | tuple[str | None, float | None] | str]) -> None:
        """Says what was predicted for each item of a batch: classes, `(class, confidence)` pairs or `Result`s."""
        self._batch = True
        for item in batch:
            result = Result(item) if isinstance(item, str) else Result(*item)
            self.result(result.predicted, confidence=result.confidence, attribute=result.attribute)

    @overload
    def stream(self, chunks: AsyncIterable[T]) -> AsyncStream[T]: ...
    @overload
    def stream(self, chunks: Iterable[T]) -> Stream[T]: ...
    def stream(self, chunks: AsyncIterable[T] | Iterable[T]) -> AsyncStream[T] | Stream[T]:
        """Passes a streamed result on, chunk by chunk, for a loop or a `StreamingResponse`.

        The prediction stays open until the last chunk when the stream is handed out of its block, or when there is no
        block: `StreamingResponse(model.predict().stream(chunks))`. What makes the chunks runs in the prediction's
        context, in whichever thread or task they are asked for. Who stops asking cancels: that is nobody's error.
        """
        if not self._begun_ns:
            self.hand_out()
        stream = AsyncStream(self, chunks) if isinstance(chunks, AsyncIterable) else Stream(self, chunks)
        # Weakly: a stream that nobody holds any more has ended, and must not wait for the garbage collector.
        self._stream = ref(stream)
        return stream

    def hand_out(self) -> None:
        """Begins a prediction that ends with its stream."""
        self.begin()
        self._handed_out = True

    def chunk(self) -> None:
        """Counts a chunk of a streamed result that does not go through `stream`; the first one is timed."""
        self._chunks += 1
        self._last_chunk_ns = clock.monotonic_ns()
        if self._chunks == 1:
            with guard:
                after_s = (self._last_chunk_ns - self._begun_ns) / 1e9
                self.model.instruments.first_chunk.record(after_s, self.attributes, self.context)

    def stream_ended(self, error: BaseException | None) -> None:
        """The stream is over: a handed out prediction with it; otherwise the block goes on."""
        self._stream = None
        if self._handed_out:
            self.finish(error)

    def enqueue(self) -> None:
        """Begins the wait for a batch (stage `queue`); `Model.batch` ends it, in whichever thread that runs."""
        self._wait = self.queued()
        self._wait.begin()

    def dequeue(self, batch: SpanContext) -> None:
        """Ends the wait: the prediction is part of a batch, whose span it is linked to."""
        if self._wait is not None:
            self._wait.finish(None)
            self._wait = None
        if batch.is_valid and self.span.is_recording():
            self.span.add_link(batch)

    def set(self, **attributes: Any) -> None:
        """Hangs attributes on the span, on no metric: features, variants, explanations.

        At most 32 names of 64 characters, texts of 256, lists of 32; what is cut is marked (`ml.prediction.cut`).
        """
        with guard:
            room = limits.MAX_ATTRIBUTES - len(self._names)
            kept = self._limited(attributes, self._names, room)
            self._names |= kept.keys()
            if self.span.is_recording():
                self.span.set_attributes(kept)

    def event(self, name: str, **attributes: Any) -> None:
        """Notes a moment on the span, with attributes within the limits of `set`; at most 32 events."""
        with guard:
            if self._events >= limits.MAX_EVENTS:
                self._cut += 1
                return
            self._events += 1
            if self.span.is_recording():
                self.span.add_event(limits.cut_text(name, limits.MAX_KEY), self._limited(attributes))

    def input(self, value: Any = None, **fields: Any) -> None:
        """Records the input on the span, only if the model was told `record_inputs`, and by its rules."""
        rules = self.model.record_inputs
        if rules is None:
            return
        with guard:
            if self.span.is_recording():
                self.span.set_attribute(semconv.ML_PREDICTION_INPUT, rules.text(fields if value is None else value))

    def _limited(self, attributes: Mapping[str, Any], *bounds: Any) -> dict[str, Any]:
        kept, cut = limits.limited(attributes, *bounds)
        self._cut += cut
        return kept

    def _finish(self, error: BaseException | None, ended_ns: int) -> None:
        # A server that sees its client leave cancels the response; before its first chunk it may as well be a timeout.
        left = isinstance(error, GeneratorExit) or (self._chunks > 0 and isinstance(error, asyncio.CancelledError))
        failure = None if left else error
        outcome = (
            semconv.ML_PREDICTION_OUTCOME_CANCELLED
            if left
            else semconv.ML_PREDICTION_OUTCOME_SUCCESS
            if failure is None
            else semconv.ML_PREDICTION_OUTCOME_ERROR
        )
        with guard:
            self.model.instruments.active.add(-1, self.attributes)
            if self._wait is not None:
                self._wait.finish(None)
                self._wait = None
            if self.span.is_recording():
                self._describe(outcome, failure)
        # A server span is its owner's to end, and whether the request failed is the response's to say.
        took = self._end_span(failure, ended_ns) if self._own_span else (ended_ns - self._begun_ns) / 1e9
        with guard:
            self._record(outcome, failure, took)
        self.forget()

    def _describe(self, outcome: str, failure: BaseException | None) -> None:
        """What the span says of the prediction when it has ended."""
        span = self.span
        told: dict[str, str | int | float] = {semconv.ML_PREDICTION_OUTCOME: outcome}
        if failure is not None:
            request_keep(self.context).keep(semconv.OTEL_SIDECAR_KEEP_REASON_FAILED_PREDICTION)
            if self._failed is None or self._failed[1] is not failure:
                span.record_exception(failure)
        elif self._batch:
            told[semconv.ML_PREDICTION_COUNT] = len(self._results)
        elif len(self._results) == 1:
            only = self._results[0]
            if only.predicted is not None:
                told[semconv.ML_PREDICTION_CLASS] = only.predicted
            if only.confidence is not None:
                told[semconv.ML_PREDICTION_SCORE] = only.confidence
        if self._chunks:
            told[semconv.ML_PREDICTION_CHUNKS] = self._chunks
        if self._cut:
            told[semconv.ML_PREDICTION_CUT] = self._cut
        span.set_attributes(told)

    def _record(self, outcome: str, failure: BaseException | None, took: float) -> None:
        instruments, attributes, context = self.model.instruments, self.attributes, self.context
        ended = {**attributes, semconv.ML_PREDICTION_OUTCOME: outcome}
        instruments.duration.record(took, ended, context)
        if outcome != semconv.ML_PREDICTION_OUTCOME_SUCCESS:
            if failure is not None:
                where = {semconv.ML_STAGE: self._stage_of(failure), semconv.ERROR_TYPE: error_type(failure)}
                instruments.errors.add(1, {**attributes, **where}, context)
            instruments.predictions.add(1, ended, context)
            return
        results = self._results if self._batch or self._results else [Result()]
        for index, result in enumerate(results):
            described = _described(result)
            instruments.predictions.add(1, {**ended, **described}, context)
            if result.confidence is not None:
                instruments.confidence.record(result.confidence, {**attributes, **described}, context)
            self.model.remember(f"{self._id}-{index}" if self._batch else self._id, result.predicted, attributes)
        if self._batch:
            record_batch(self, results)


def record_batch(call: Call, results: list[Result]) -> None:
    """The size of a batch and the mean of its confidences."""
    instruments, attributes, context = call.model.instruments, call.attributes, call.context
    instruments.batch_size.record(len(results), attributes, context)
    confidences = [result.confidence for result in results if result.confidence is not None]
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
