"""Predictions, stages and batches leave nothing behind and hurt nobody, even when telemetry itself is broken."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry import context as otel_context

from instrumentation import Batcher, Model, Prediction
from instrumentation.guard import guard
from tests.support.memory import Telemetry, only


class Broken:
    """Whatever is asked of it, it raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"telemetry is broken: {name}")


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Model:
    return Model(f"model-of-{request.node.name}"[:60])


def chunks() -> Iterator[str]:
    yield "a"
    yield "b"


async def async_chunks() -> AsyncIterator[str]:
    for chunk in chunks():
        yield chunk


@pytest.mark.parametrize("part", ["tracer", "instruments", "both"])
def test_a_broken_telemetry_changes_nothing_for_the_service(
    part: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every form of a prediction gives its result; the failures are counted."""
    monkeypatch.delenv("PYTEST_VERSION")
    for broken in ("tracer", "instruments") if part == "both" else (part,):
        setattr(model, broken, Broken())
    failures = guard.failures
    batcher: Batcher[str, str] = Batcher(model, lambda items: [item.upper() for item in items])

    @model.prediction
    def decorated() -> str:
        with model.predict(role="shadow") as p, p.stage("own"):
            p.result("cat", confidence=0.5)
            p.set(a=1)
            p.event("e")
            p.enqueue()
            return batcher.submit("x").result(timeout=30)

    async def streamed() -> list[str]:
        async with model.predict() as p:
            stream = p.stream(async_chunks())
        return [chunk async for chunk in stream]

    assert decorated() == "X"
    assert list(model.prediction(chunks)()) == ["a", "b"]
    assert asyncio.run(streamed()) == ["a", "b"]
    with pytest.raises(KeyError), model.predict() as p, p.inference():
        raise KeyError
    del p
    assert guard.failures > failures
    assert otel_context.get_current() == {}


def test_a_prediction_that_has_ended_is_freed_at_once(model: Model, telemetry: Telemetry) -> None:
    """Without the garbage collector, whose pauses requests would feel; after an exception too."""

    def good() -> weakref.ref[Prediction]:
        with model.predict() as p, p.inference():
            p.result("cat")
        return weakref.ref(p)

    def streamed() -> weakref.ref[Prediction]:
        with model.predict() as p:
            stream = p.stream(chunks())
        list(stream)
        return weakref.ref(p)

    def waited() -> weakref.ref[Prediction]:
        with model.predict() as p:
            p.enqueue()
            with model.batch([p]) as batch:
                batch.results(["cat"])
        return weakref.ref(p)

    def failed() -> weakref.ref[Prediction]:
        with contextlib.suppress(KeyError), model.predict() as p, p.inference():
            raise KeyError
        return weakref.ref(p)

    gc.collect()
    gc.disable()
    try:
        assert [ended()() for ended in (good, streamed, waited, failed)] == [None] * 4
    finally:
        gc.enable()
    assert telemetry.spans()


def test_a_block_that_ends_in_another_context_leaves_that_one_alone(model: Model, telemetry: Telemetry) -> None:
    """And says nothing about contexts that could not be detached."""
    p = model.predict()
    with p:
        other = otel_context.Context({"other": "value"})
        otel_context.attach(other)
        p.result("cat")
    assert otel_context.get_current() is other
    otel_context.attach(otel_context.Context())
    assert only(telemetry.metrics()["ml.predictions"], ml__prediction__class="cat").value == 1


def test_a_prediction_ends_once(model: Model, telemetry: Telemetry) -> None:
    """However often it is told to."""
    with model.predict() as p:
        pass
    p.finish(KeyError())
    assert only(telemetry.metrics()["ml.predictions"], ml__model__name=model.name).value == 1


def test_a_stage_after_the_end_is_the_current_contexts(model: Model, telemetry: Telemetry) -> None:
    """Cleaning up late is measured where it happens."""
    with model.predict() as p:
        pass
    with p.postprocess():
        pass
    assert telemetry.span("postprocess").parent is None
