"""A prediction stays open until its last chunk, in whichever thread or task the chunks are asked for."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI
from opentelemetry import context as otel_context
from opentelemetry import trace
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from instrumentation import Model, instrument
from instrumentation.testing import capture
from tests.support.memory import Telemetry, only

TOKENS = ["a", "b", "c"]


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Model:
    return Model(f"model-of-{request.node.name}"[:60])


@pytest.fixture(autouse=True)
def _no_noise(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is said about contexts that cannot be detached or spans that have ended."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [record.getMessage() for record in caplog.records if record.name.startswith("opentelemetry")] == []


def tokens(model: Model) -> Iterator[str]:
    """A model that generates, with a span of its own for each token."""
    for token in TOKENS:
        with model.tracer.start_as_current_span("token"):
            pass
        yield token


async def async_tokens(model: Model) -> AsyncIterator[str]:
    for token in tokens(model):
        await asyncio.sleep(0)
        yield token


def test_a_stream_that_is_handed_out_keeps_its_prediction_open(model: Model, telemetry: Telemetry) -> None:
    """Chunks are counted, the first is timed, and their spans are the prediction's children."""
    with model.predict() as p:
        stream = p.stream(tokens(model))
        p.result("text")
    assert "ml.predictions" not in telemetry.metrics()
    assert list(stream) == TOKENS
    *made, predict = telemetry.spans()
    assert [span.name for span in made] == ["token"] * 3
    assert predict.context is not None
    assert {span.parent.span_id for span in made if span.parent} == {predict.context.span_id}
    assert (predict.attributes or {})["ml.prediction.chunks"] == 3
    found = telemetry.metrics()
    assert only(found["ml.predictions"], ml__prediction__class="text").value == 1
    first = only(found["ml.prediction.time_to_first_chunk"], ml__model__name=model.name)
    whole = only(found["ml.prediction.duration"], ml__model__name=model.name)
    assert first.count == 1
    assert first.value <= whole.value
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize("handler", ["sync", "async", "raw", "raw async", "decorated", "decorated async"])
def test_a_streaming_response_is_one_prediction(handler: str, model: Model, telemetry: Telemetry) -> None:
    """Sync generators run in a thread pool step by step, async ones in the response's task."""
    app = FastAPI()

    def raw() -> Iterator[str]:
        with model.predict() as p:
            for token in tokens(model):
                p.chunk()
                yield token

    async def raw_async() -> AsyncIterator[str]:
        async with model.predict() as p, p.inference():
            async for token in async_tokens(model):
                p.chunk()
                yield token

    @app.get("/generate")
    def generate() -> StreamingResponse:
        with model.predict() as outer:
            return {
                "sync": lambda: StreamingResponse(outer.stream(tokens(model))),
                "async": lambda: StreamingResponse(outer.stream(async_tokens(model))),
                "raw": lambda: StreamingResponse(raw()),
                "raw async": lambda: StreamingResponse(raw_async()),
                "decorated": lambda: StreamingResponse(model.prediction(tokens)(model)),
                "decorated async": lambda: StreamingResponse(model.prediction(async_tokens)(model)),
            }[handler]()

    instrument(app)
    assert TestClient(app).get("/generate").text == "abc"
    found = telemetry.metrics()
    assert only(found["ml.prediction.time_to_first_chunk"], ml__model__name=model.name).count == 1
    assert only(found["ml.predictions.active"], ml__model__name=model.name).value == 0
    spans = telemetry.spans()
    assert len({span.context.trace_id for span in spans if span.context}) == 1
    (streamed,) = [span for span in spans if "ml.prediction.chunks" in (span.attributes or {})]
    assert (streamed.attributes or {})["ml.prediction.chunks"] == 3


def test_chunks_may_be_asked_for_by_another_thread_each(model: Model, telemetry: Telemetry) -> None:
    """Each step runs in the prediction's context, also inside of a stage, and leaves the thread's own as it was."""

    def staged() -> Iterator[str]:
        with p.inference():
            yield from tokens(model)

    with model.predict() as p:
        stream = p.stream(staged())
    got: list[str] = []
    left: list[object] = []

    def step() -> None:
        got.extend([chunk] if (chunk := next(stream, None)) else [])
        left.append(otel_context.get_current())

    for _ in range(4):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert got == TOKENS
    assert left == [{}] * 4
    inference = telemetry.span("inference")
    predict = telemetry.span(f"predict {model.name}")
    assert inference.context is not None
    assert predict.context is not None
    assert inference.parent is not None
    assert inference.parent.span_id == predict.context.span_id
    parents = {span.parent.span_id for span in telemetry.spans() if span.name == "token" and span.parent}
    assert parents == {inference.context.span_id}


def test_an_error_in_the_stream_is_the_predictions(model: Model, telemetry: Telemetry) -> None:
    """It counts with its stage and goes on."""

    def breaks() -> Iterator[str]:
        yield "a"
        with p.postprocess():
            raise KeyError("b")

    with model.predict() as p:
        stream = p.stream(breaks())
    with pytest.raises(KeyError):
        list(stream)
    error = only(telemetry.metrics()["ml.prediction.errors"], ml__model__name=model.name)
    assert (error.attributes["error.type"], error.attributes["ml.stage"]) == ("KeyError", "postprocess")


@pytest.mark.parametrize("chunks_taken", [0, 1])
def test_a_stream_that_nobody_wants_any_more_is_cancelled(
    chunks_taken: int, model: Model, telemetry: Telemetry
) -> None:
    """A client that left is no error of the model, and nothing stays in flight."""
    with model.predict() as p:
        stream = p.stream(tokens(model))
    for _ in range(chunks_taken):
        next(stream)
    del stream
    found = telemetry.metrics()
    assert only(found["ml.predictions.active"], ml__model__name=model.name).value == 0
    assert only(found["ml.predictions"], ml__model__name=model.name).attributes["ml.prediction.outcome"] == "cancelled"
    assert "ml.prediction.errors" not in found


def test_a_stream_that_is_given_up_lasted_until_its_last_chunk(model: Model) -> None:
    """However late the garbage collector comes to it."""
    with capture() as captured:
        with model.predict() as p:
            stream = p.stream(tokens(model))
        captured.clock.advance(0.5)
        next(stream)
        captured.clock.advance(60)
        del stream
    assert captured.value("ml.prediction.duration") == 0.5
    assert captured.value("ml.prediction.time_to_first_chunk") == 0.5


def test_a_loop_that_is_broken_inside_of_the_block_is_a_success(model: Model, telemetry: Telemetry) -> None:
    """The block goes on and has the result: a stop token is no cancellation."""
    with model.predict() as p:
        for token in p.stream(tokens(model)):
            if token == TOKENS[1]:
                break
        p.result("ab")
    assert only(telemetry.metrics()["ml.predictions"], ml__prediction__class="ab").value == 1


def test_an_async_generator_that_is_closed_elsewhere_is_cancelled(model: Model, telemetry: Telemetry) -> None:
    """Its block ends in another task than it began in."""

    async def generate() -> AsyncIterator[str]:
        async with model.predict() as p:
            async for token in p.stream(async_tokens(model)):
                yield token

    async def main() -> None:
        stream = generate()
        assert await anext(stream) == "a"
        await asyncio.create_task(stream.aclose())  # type: ignore[attr-defined] # an async generator has it

    asyncio.run(main())
    telemetry.metrics()
    assert (telemetry.span(f"predict {model.name}").attributes or {})["ml.prediction.outcome"] == "cancelled"


def test_a_cancelled_task_in_the_middle_of_a_stream_is_cancelled(model: Model, telemetry: Telemetry) -> None:
    """So servers end a response whose client has left."""

    async def forever() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    async def main() -> None:
        begun = asyncio.Event()

        async def respond() -> None:
            async for _ in model.predict().stream(forever()):
                begun.set()

        task = asyncio.create_task(respond())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    telemetry.metrics()
    assert (telemetry.span(f"predict {model.name}").attributes or {})["ml.prediction.outcome"] == "cancelled"


def test_a_stage_that_is_a_generator_ends_with_its_last_chunk(model: Model, telemetry: Telemetry) -> None:
    """As a decorator; a closed one is no error."""
    staged = model.stage("decode")(tokens)
    with model.predict():
        assert list(staged(model)) == TOKENS
        next(iter(staged(model)))
    assert "ml.prediction.errors" not in telemetry.metrics()
    stages = [span for span in telemetry.spans() if span.name == "decode"]
    assert len(stages) == 2
