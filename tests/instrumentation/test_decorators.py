"""Predictions and stages as decorators of every kind of function."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

from instrumentation import Model, Result, stage
from tests.support.memory import Telemetry, only


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Model:
    return Model(f"model-of-{request.node.name}"[:60])


@pytest.mark.parametrize(
    ("returned", "classes"),
    [
        ("cat", {"cat": 1}),
        (("cat", 0.9), {"cat": 1}),
        (Result("cat", 0.9), {"cat": 1}),
        ([("cat", 0.9), "dog", Result("cat")], {"cat": 2, "dog": 1}),
        ((None, 0.9), {None: 1}),
        ({"any": "response"}, {None: 1}),
        ([{"a": 1}], {None: 1}),
        (None, {None: 1}),
        (0.5, {None: 1}),
    ],
)
def test_what_a_prediction_returns_is_its_result(
    returned: Any, classes: dict[str | None, int], model: Model, telemetry: Telemetry
) -> None:
    """A class, a pair, a Result or a list of such; anything else is a prediction without a class."""

    @model.prediction
    def predict() -> Any:
        return returned

    assert predict() is returned
    counted = {p.attributes.get("ml.prediction.class"): p.value for p in telemetry.metrics()["ml.predictions"]}
    assert counted == classes


def test_a_result_can_be_found_in_a_response(model: Model, telemetry: Telemetry) -> None:
    """`result` looks into what a handler returns; `role` is as of `predict`."""

    @model.prediction(role="canary", result=lambda response: (response["class"], response["score"]))
    async def handler(name: str) -> dict[str, Any]:
        return {"class": name, "score": 0.7}

    assert inspect.iscoroutinefunction(handler)
    assert asyncio.run(handler("cat")) == {"class": "cat", "score": 0.7}
    point = only(telemetry.metrics()["ml.predictions"], ml__prediction__class="cat")
    assert point.attributes["ml.model.role"] == "canary"


def test_stages_find_their_prediction(model: Model, telemetry: Telemetry) -> None:
    """A stage of a module of its own is the child of whatever prediction calls it."""

    @stage("preprocess")
    def decode(text: str) -> str:
        return text.strip()

    @stage("inference")
    async def infer(text: str) -> str:
        await asyncio.sleep(0)
        return text

    @model.prediction
    async def predict(text: str) -> str:
        return await infer(decode(text))

    assert asyncio.run(predict(" cat ")) == "cat"
    first, second, predicted = telemetry.spans()
    assert predicted.context is not None
    assert [first.name, second.name] == ["preprocess", "inference"]
    assert {s.parent.span_id for s in (first, second) if s.parent} == {predicted.context.span_id}
    assert telemetry.metrics()["ml.stage.duration"][0].attributes["ml.model.name"] == model.name
    assert decode(" alone ") == "alone"
    assert len(telemetry.spans()) == 3


def test_a_models_stage_is_measured_without_a_prediction_too(model: Model, telemetry: Telemetry) -> None:
    """Warming up is the model's work, of no request."""

    @model.stage("warm-up")
    def warm() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        warm()
    assert telemetry.span("warm-up").parent is None
    assert only(telemetry.metrics()["ml.stage.duration"], ml__stage="warm-up").count == 1


def test_another_models_stage_is_its_own(model: Model, telemetry: Telemetry) -> None:
    """Called in a prediction of the first, it carries the second's name."""
    other = Model("other-model")

    @other.stage("embed")
    def embed() -> None:
        """Nothing to do."""

    with model.predict():
        embed()
    assert only(telemetry.metrics()["ml.stage.duration"], ml__stage="embed").attributes["ml.model.name"] == other.name


def test_a_generator_is_a_streamed_prediction(model: Model, telemetry: Telemetry) -> None:
    """What it returns at its end is the result; its kind stays what frameworks look at."""

    @model.prediction
    def generate(count: int) -> Generator[str, None, str]:
        yield from "abc"[:count]
        return "text"

    assert inspect.isgeneratorfunction(generate)
    assert list(generate(2)) == ["a", "b"]
    assert (telemetry.span(f"predict {model.name}").attributes or {})["ml.prediction.chunks"] == 2
    assert only(telemetry.metrics()["ml.predictions"], ml__prediction__class="text").value == 1


def test_an_async_generator_is_a_streamed_prediction(model: Model, telemetry: Telemetry) -> None:
    """Its stages are its children, and its errors its own."""

    @stage("decode")
    async def decode() -> AsyncIterator[str]:
        yield "a"
        raise KeyError

    @model.prediction
    async def generate() -> AsyncIterator[str]:
        async for chunk in decode():
            yield chunk

    async def main() -> None:
        async for _ in generate():
            pass

    assert inspect.isasyncgenfunction(generate)
    with pytest.raises(KeyError):
        asyncio.run(main())
    error = only(telemetry.metrics()["ml.prediction.errors"], ml__model__name=model.name)
    assert error.attributes["ml.stage"] == "decode"


def test_names_and_signatures_stay(model: Model) -> None:
    """Frameworks read parameters from them."""

    @model.prediction
    def predict(size: int, name: str = "x") -> str:
        """Predicts."""
        return name * size

    assert predict.__name__ == "predict"
    assert list(inspect.signature(predict).parameters) == ["size", "name"]
    assert predict(2, name="b") == "bb"
