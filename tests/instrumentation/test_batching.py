"""Dynamic batching: many requests, one run of the model."""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from instrumentation import Batcher, Model
from tests.support.memory import Telemetry, only


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Model:
    return Model(f"model-of-{request.node.name}"[:60])


def upper(items: list[str]) -> list[str]:
    return [item.upper() for item in items]


def test_a_batch_is_one_span_linked_with_its_predictions(model: Model, telemetry: Telemetry) -> None:
    """It begins a trace of its own; links go both ways; waits end with its begin and results arrive in order."""
    predictions = [model.predict().__enter__() for _ in range(3)]
    for prediction in predictions:
        prediction.enqueue()
    with model.batch(predictions) as batch:
        with batch.inference():
            pass
        batch.results([("cat", 0.9), ("dog", 0.5), "cat"])
    for prediction in reversed(predictions):
        prediction.__exit__(None, None, None)

    batch_span = telemetry.span(f"batch {model.name}")
    assert batch_span.context is not None
    assert batch_span.parent is None
    members = [span for span in telemetry.spans() if span.name.startswith("predict")]
    assert {link.context.span_id for link in batch_span.links} == {s.context.span_id for s in members if s.context}
    assert all([link.context.span_id for link in s.links] == [batch_span.context.span_id] for s in members)
    assert (batch_span.attributes or {})["ml.prediction.count"] == 3
    waits = [span for span in telemetry.spans() if span.name == "queue"]
    assert {w.context.trace_id for w in waits if w.context} == {s.context.trace_id for s in members if s.context}
    inference = telemetry.span("inference")
    assert inference.parent is not None
    assert inference.parent.span_id == batch_span.context.span_id

    found = telemetry.metrics()
    assert only(found["ml.predictions"], ml__prediction__class="cat").value == 2
    assert only(found["ml.batch.size"], ml__model__name=model.name).value == 3
    assert only(found["ml.batch.confidence"], ml__model__name=model.name).value == pytest.approx(0.7)
    stages = {point.attributes["ml.stage"]: point.count for point in found["ml.stage.duration"]}
    assert stages == {"queue": 3, "inference": 1}


def test_a_failed_batch_is_an_error_of_its_stage_in_each_prediction(model: Model, telemetry: Telemetry) -> None:
    """The exception that each request raises is the batch's."""
    boom = MemoryError("device")

    def request() -> None:
        with model.predict() as p:
            with pytest.raises(MemoryError), model.batch([p]) as batch, batch.inference():
                raise boom
            raise boom

    with pytest.raises(MemoryError):
        request()
    error = only(telemetry.metrics()["ml.prediction.errors"], ml__model__name=model.name)
    assert (error.value, error.attributes["ml.stage"], error.attributes["error.type"]) == (
        1,
        "inference",
        "MemoryError",
    )


def test_a_wait_that_never_came_to_a_batch_ends_with_its_prediction(model: Model, telemetry: Telemetry) -> None:
    """A request that was cancelled while it waited still tells how long."""
    with model.predict() as p:
        p.enqueue()
    assert only(telemetry.metrics()["ml.stage.duration"], ml__stage="queue").count == 1


def test_a_wait_for_a_lock_is_the_stage_queue(model: Model, telemetry: Telemetry) -> None:
    """`p.queued()` around whatever is waited for."""
    lock = threading.Lock()
    with model.predict() as p, p.queued(), lock:
        pass
    assert only(telemetry.metrics()["ml.stage.duration"], ml__stage="queue").count == 1


def test_the_batcher_runs_the_model_once_for_concurrent_tasks(model: Model, telemetry: Telemetry) -> None:
    """Each task gets its own output; each prediction has its wait."""
    batcher = Batcher(model, upper, max_size=4, max_wait_s=5)

    async def one(item: str) -> str:
        async with model.predict() as p:
            output = await batcher(item)
            p.result(output)
        return output

    async def many() -> list[str]:
        return await asyncio.gather(*(one(item) for item in "abcd"))

    assert asyncio.run(many()) == ["A", "B", "C", "D"]
    found = telemetry.metrics()
    assert only(found["ml.batch.size"], ml__model__name=model.name).value == 4
    assert only(found["ml.stage.duration"], ml__stage="queue").count == 4
    assert only(found["ml.predictions"], ml__prediction__class="A").value == 1
    assert len(telemetry.span(f"batch {model.name}").links) == 4


def test_the_batcher_serves_threads_too(model: Model, telemetry: Telemetry) -> None:
    """More inputs than fit are several batches; without a prediction it works as well."""
    batcher = Batcher(model, upper, max_size=2, max_wait_s=0.001)
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda item: batcher.submit(item).result(timeout=30), "abcdefgh"))
    assert outputs == list("ABCDEFGH")
    telemetry.metrics()


def test_what_the_batchers_run_raises_is_raised_in_each_request(model: Model) -> None:
    """Also when it returns the wrong number of outputs, and the batcher goes on."""

    def run(items: list[str]) -> list[str]:
        if "bad" in items:
            raise ZeroDivisionError
        return upper(items) if "few" not in items else []

    batcher = Batcher(model, run, max_size=1)
    with pytest.raises(ZeroDivisionError):
        batcher.submit("bad").result(timeout=30)
    with pytest.raises(ValueError, match="gave 0 outputs for 1 inputs"):
        batcher.submit("few").result(timeout=30)
    assert batcher.submit("good").result(timeout=30) == "GOOD"


def test_the_batchers_queue_is_bounded(model: Model) -> None:
    """One more input than may wait is refused at once; a cancelled one is not run."""
    ran: list[str] = []
    begun, go = threading.Event(), threading.Event()

    def run(items: list[str]) -> list[str]:
        begun.set()
        go.wait(30)
        ran.extend(items)
        return items

    batcher = Batcher(model, run, max_size=1, max_waiting=1)
    first = batcher.submit("first")
    begun.wait(30)
    waiting = batcher.submit("waiting")
    with pytest.raises(queue.Full):
        batcher.submit("too many")
    assert waiting.cancel()
    go.set()
    assert first.result(timeout=30) == "first"
    while batcher._waiting.qsize():
        pass
    assert batcher.submit("last").result(timeout=30) == "last"
    assert ran == ["first", "last"]
