"""What a prediction, a batch and a stage share: a span that is current while its block runs, and a duration."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, Status, StatusCode

from instrumentation import semconv
from instrumentation.clock import clock
from instrumentation.guard import guard
from instrumentation.http import error_type

if TYPE_CHECKING:
    from instrumentation.model import Model

_CALL: Final = otel_context.create_key("otel-sidecar-call")

# A generator may be closed by the garbage collector, in any thread and inside of a lock of the SDK that recording would
# need again: what ended so waits here, with its time, for the next prediction or collection.
abandoned: deque[tuple[Measured, int]] = deque()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=abandoned.clear)  # they are the parent's to record


class Measured:
    """A span that is current while its block runs, in `with` and in `async with`.

    Telemetry's own failures stay out of the block. The context of before is put back as a value and not by its token: a
    block inside of a generator may end in another thread or task, where a token cannot be used.

    Attributes:
        model: what is measured.
        attributes: the model's, as they were at the begin.
        span: made at the begin.
        context: in which the span is current.
    """

    _last_chunk_ns = 0

    def __init__(self, model: Model, attributes: Mapping[str, str]) -> None:
        self.model = model
        self.attributes = attributes
        self.span: Span = trace.INVALID_SPAN
        self.context: Context = _NOWHERE
        self._before: Context = _NOWHERE
        self._wall_ns = self._begun_ns = 0
        self.ended = False

    def __enter__(self) -> Self:
        """Opens the block."""
        self.begin()
        self._before = otel_context.get_current()
        otel_context.attach(self.context)
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Ends the block; an exception is noted and goes on."""
        self._leave()
        self.finish(error)

    async def __aenter__(self) -> Self:
        """As `with`."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """As `with`."""
        self.__exit__(kind, error, traceback)

    @abstractmethod
    def begin(self) -> None:
        """Starts measuring without making the span current."""

    @abstractmethod
    def _finish(self, error: BaseException | None, ended_ns: int) -> None:
        """Ends the span and records the metrics; never raises."""

    def finish(self, error: BaseException | None) -> None:
        """Ends what `begin` began, once, from any thread; never raises."""
        if self.ended:
            return
        self.ended = True
        ended_ns = clock.monotonic_ns()
        if isinstance(error, GeneratorExit):
            # The collector may come late: the last chunk was the last that happened.
            abandoned.append((self, self._last_chunk_ns or ended_ns))
        else:
            self._finish(error, ended_ns)

    def _start(
        self, name: str, parent: Context, attributes: Mapping[str, str | int], links: Sequence[Link] | None = None
    ) -> None:
        self.context = parent
        self._wall_ns, self._begun_ns = clock.wall_ns(), clock.monotonic_ns()
        with guard:
            self.span = self.model.tracer.start_span(
                name, parent, attributes=attributes, links=links, start_time=self._wall_ns
            )
            self.context = trace.set_span_in_context(self.span, parent)

    def _leave(self) -> None:
        # Elsewhere the block never was current, and there is nothing to put back.
        if otel_context.get_current() is self.context:
            otel_context.attach(self._before)

    def _end_span(self, error: BaseException | None, ended_ns: int) -> float:
        """Ends the span and returns the seconds it took."""
        took_ns = ended_ns - self._begun_ns
        with guard:
            if error is not None:
                self.span.set_attribute(semconv.ERROR_TYPE, error_type(error))
                self.span.set_status(Status(StatusCode.ERROR, str(error)))
            self.span.end(self._wall_ns + took_ns)
        return took_ns / 1e9


_NOWHERE: Final = Context()


class Call(Measured):
    """What has stages: a prediction, or a batch of many."""

    _failed: tuple[str, BaseException] | None = None

    def preprocess(self) -> Stage:
        """From the request's bytes to the model's input."""
        return Stage(self.model, semconv.ML_STAGE_PREPROCESS, self)

    def inference(self) -> Stage:
        """The model itself."""
        return Stage(self.model, semconv.ML_STAGE_INFERENCE, self)

    def postprocess(self) -> Stage:
        """From the model's output to the answer."""
        return Stage(self.model, semconv.ML_STAGE_POSTPROCESS, self)

    def queued(self) -> Stage:
        """Waiting before the work starts: for a lock, a slot, a worker."""
        return Stage(self.model, semconv.ML_STAGE_QUEUE, self)

    def stage(self, name: str) -> Stage:
        """A stage of another name; few names, they are labels."""
        return Stage(self.model, name, self)

    def forget(self) -> None:
        """Breaks the circles of a call with its context and its exception, which would wait for the collector."""
        self.context = _NOWHERE
        self._failed = None

    def failed_in(self, stage: str, error: BaseException) -> None:
        """Notes the innermost stage an exception was raised in."""
        if self._failed is None or self._failed[1] is not error:
            self._failed = (stage, error)

    def _stage_of(self, error: BaseException) -> str:
        return self._failed[0] if self._failed and self._failed[1] is error else semconv.ML_STAGE_PREDICT


class Stage(Measured):
    """A stage of a prediction: `with p.preprocess(): ...`."""

    def __init__(self, model: Model, name: str, call: Call | None) -> None:
        super().__init__(model, call.attributes if call else model.attributes)
        self._call = call
        self._name = name

    def begin(self) -> None:
        """Opens the stage's span: in the current context, or its prediction's where that is not the current one."""
        parent, call = otel_context.get_current(), self._call
        if call is not None and not call.ended and parent.get(_CALL) is not call:
            parent = call.context
        self._start(self._name, parent, {semconv.ML_STAGE: self._name})

    def chunk(self) -> None:
        """A stage that is a generator made a chunk: nothing to note."""

    def stream_ended(self, error: BaseException | None) -> None:
        """A stage that is a generator is over."""
        self.finish(error)

    def _finish(self, error: BaseException | None, ended_ns: int) -> None:
        if error is not None:
            if self._call is not None:
                self._call.failed_in(self._name, error)
            with guard:
                self.span.record_exception(error)
        took = self._end_span(error, ended_ns)
        with guard:
            self.model.instruments.stage.record(took, {**self.attributes, semconv.ML_STAGE: self._name}, self.context)


def in_call(call: Call, context: Context) -> Context:
    """The context in which `current_call` finds a call."""
    return Context({**context, _CALL: call})


def current_call() -> Call | None:
    """The innermost prediction or batch that is open here."""
    call = otel_context.get_value(_CALL)
    return call if isinstance(call, Call) and not call.ended else None


def settle_abandoned() -> None:
    """Records what ended with its generator."""
    while abandoned:
        try:
            measured, ended_ns = abandoned.popleft()
        except IndexError:  # another thread took it
            return
        measured._finish(None if isinstance(measured, Stage) else GeneratorExit(), ended_ns)  # noqa: SLF001 - of this room
