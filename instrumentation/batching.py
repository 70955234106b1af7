"""Many requests, one run of the model: a batch with its span, its links and its members' waits; a small batcher."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from queue import Empty, Queue
from typing import TYPE_CHECKING, Generic, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import Link

from instrumentation import semconv
from instrumentation.guard import guard
from instrumentation.keep import request_keep
from instrumentation.measured import Call, current_call, in_call
from instrumentation.prediction import Prediction, Result, record_batch

if TYPE_CHECKING:
    from instrumentation.model import Model

X = TypeVar("X")
Y = TypeVar("Y")


class Batch(Call):
    """One run of the model for several open predictions: `with model.batch(predictions) as b: ...`.

    It belongs to no single request, so its span begins a trace of its own, linked to the predictions' spans and they to
    it. The waits that the predictions began (`enqueue`) end with its begin. An exception that leaves it is noted with
    its stage in each prediction, where it counts when it is raised there.
    """

    def __init__(self, model: Model, predictions: Iterable[Prediction], size: int | None) -> None:
        super().__init__(model, model.attributes)
        self.predictions = tuple(predictions)
        self.size = len(self.predictions) if size is None else size
        self._results: list[Result] = []

    def begin(self) -> None:
        """Opens the batch's span and ends its members' waits."""
        told: dict[str, str | int] = {**self.attributes, semconv.ML_PREDICTION_COUNT: self.size}
        contexts = {prediction.span.get_span_context().span_id: prediction.span for prediction in self.predictions}
        links = [Link(span.get_span_context()) for span_id, span in contexts.items() if span_id]
        self._start(f"batch {self.model.name}", in_call(self, Context()), told, links)
        with guard:
            own = self.span.get_span_context()
            for prediction in self.predictions:
                prediction.dequeue(own)

    def results(self, results: Iterable[Result | tuple[str | None, float | None] | str]) -> None:
        """Says what was predicted for each member, in their order."""
        for prediction, item in zip(self.predictions, results, strict=False):
            result = Result(item) if isinstance(item, str) else Result(*item)
            self._results.append(result)
            prediction.result(result.predicted, confidence=result.confidence, attribute=result.attribute)

    def _finish(self, error: BaseException | None, ended_ns: int) -> None:
        if error is not None:
            stage = self._stage_of(error)
            for prediction in self.predictions:
                prediction.failed_in(stage, error)
            with guard:
                request_keep(self.context).keep(semconv.OTEL_SIDECAR_KEEP_REASON_FAILED_PREDICTION)
                self.span.record_exception(error)
        self._end_span(error, ended_ns)
        with guard:
            record_batch(self, self._results or [Result()] * self.size)
        self.forget()


class Batcher(Generic[X, Y]):
    """Collects the inputs of concurrent requests and runs the model once for them, in a thread of its own.

    `await batcher(x)` in a coroutine, `batcher.submit(x).result()` in a thread. Inside of a prediction its wait is the
    stage `queue` and its result is told as usual, where it arrives.

    Args:
        model: whose batches they are.
        run: from the inputs to as many outputs, in order; an exception is raised in each of the requests.
        max_size: inputs of one batch.
        max_wait_s: seconds that the first input waits for others.
        max_waiting: inputs that may wait; one more raises `queue.Full`.
    """

    def __init__(
        self,
        model: Model,
        run: Callable[[list[X]], Sequence[Y]],
        *,
        max_size: int = 32,
        max_wait_s: float = 0.005,
        max_waiting: int = 1024,
    ) -> None:
        self._model, self._run = model, run
        self._max_size, self._max_wait_s = max_size, max_wait_s
        self._waiting: Queue[tuple[X, Future[Y], Prediction | None]] = Queue(max_waiting)
        self._start_lock = threading.Lock()
        self._worker: threading.Thread | None = None

    async def __call__(self, item: X) -> Y:
        """The output for one input."""
        return await asyncio.wrap_future(self.submit(item))

    def submit(self, item: X) -> Future[Y]:
        """Enqueues one input.

        Raises:
            queue.Full: too many wait already.
        """
        call = current_call()
        prediction = call if isinstance(call, Prediction) else None
        if prediction is not None:
            with guard:
                prediction.enqueue()
        future: Future[Y] = Future()
        self._waiting.put_nowait((item, future, prediction))
        # Started by the first input, so that it also runs in a worker process that was forked after the import.
        if self._worker is None or not self._worker.is_alive():
            self._start()
        return future

    def _start(self) -> None:
        with self._start_lock:
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="otel-sidecar-batcher", daemon=True)
                self._worker.start()

    def _work(self) -> None:
        while True:
            members = [member for member in self._collect() if member[1].set_running_or_notify_cancel()]
            if members:
                self._run_batch(members)
            # Not to be held while waiting for the next: inputs are large.
            del members

    def _collect(self) -> list[tuple[X, Future[Y], Prediction | None]]:
        members = [self._waiting.get()]
        until = time.monotonic() + self._max_wait_s
        with contextlib.suppress(Empty):
            while len(members) < self._max_size:
                members.append(self._waiting.get(timeout=max(0.0, until - time.monotonic())))
        return members

    def _run_batch(self, members: list[tuple[X, Future[Y], Prediction | None]]) -> None:
        try:
            predictions = [prediction for _, _, prediction in members if prediction is not None]
            with self._model.batch(predictions, size=len(members)) as batch:
                with batch.inference():
                    outputs = self._run([item for item, _, _ in members])
                if len(outputs) != len(members):
                    raise ValueError(  # noqa: TRY301 - it goes where the model's own errors go
                        f"the batcher's run gave {len(outputs)} outputs for {len(members)} inputs"
                    )
        except BaseException as error:  # noqa: BLE001 - it is raised where the results are awaited
            for _, future, _ in members:
                future.set_exception(error)
            return
        for (_, future, _), output in zip(members, outputs, strict=True):
            future.set_result(output)
