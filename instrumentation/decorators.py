"""Predictions and stages as decorators: of functions, coroutines and both kinds of generators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from numbers import Real
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from instrumentation.guard import guard
from instrumentation.measured import Measured, Stage, current_call
from instrumentation.prediction import Prediction, Result
from instrumentation.streaming import AsyncStream, Stream

if TYPE_CHECKING:
    from instrumentation.model import Model

P = ParamSpec("P")
R = TypeVar("R")


def stage(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Makes a function a stage of whatever prediction it is called in; called in none it just runs.

    ```python
    @stage("preprocess")
    def decode(file): ...
    ```
    """

    def begin() -> Stage | None:
        call = current_call()
        return None if call is None else call.stage(name)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        return _measured(function, begin, None)

    return decorate


def stage_of(model: Model, name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`Model.stage`: of the current prediction if it is this model's; otherwise measured by itself."""

    def begin() -> Stage:
        call = current_call()
        return Stage(model, name, call if call is not None and call.model is model else None)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        return _measured(function, begin, None)

    return decorate


def prediction_of(
    model: Model, function: Callable[P, R], role: str | None, result: Callable[[R], Any] | None
) -> Callable[P, R]:
    """`Model.prediction`: each call of the function is a prediction, what it returns its result."""

    def told(prediction: Any, returned: Any) -> None:
        with guard:
            tell(prediction, returned if result is None else result(returned))

    return _measured(function, lambda: model.predict(role=role), told)


def tell(prediction: Prediction, value: Any) -> None:
    """Tells a returned value as the result it is: a class, `(class, confidence)`, a `Result`, a list of such.

    Anything else, a response for example, is a prediction without a class, unless results were told already.
    """
    if isinstance(value, list):
        items = [_as_result(item) for item in value]
        if all(items):
            prediction.results(item for item in items if item is not None)
    elif (one := _as_result(value)) is not None:
        prediction.result(one.predicted, confidence=one.confidence, attribute=one.attribute)


def _as_result(value: Any) -> Result | None:
    if isinstance(value, Result):
        return value
    if isinstance(value, str):
        return Result(value)
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Real | None):
        return Result(None if value[0] is None else str(value[0]), value[1])  # type: ignore[arg-type] # checked when told
    return None


def _measured(
    function: Callable[P, R],
    begin: Callable[[], Prediction | Stage | None],
    told: Callable[[Any, Any], None] | None,
) -> Callable[P, R]:
    """The function, measured by what `begin` gives for each call; its kind stays, which frameworks look at."""
    wrapped: Any
    if inspect.isasyncgenfunction(function):
        wrapped = _async_generator(function, begin)
    elif inspect.isgeneratorfunction(function):
        wrapped = _generator(function, begin, told)
    elif inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            measured = begin()
            if measured is None:
                return await function(*args, **kwargs)
            with measured:
                returned = await function(*args, **kwargs)
                if told:
                    told(measured, returned)
                return returned

        wrapped = coroutine
    else:

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            measured = begin()
            if measured is None:
                return function(*args, **kwargs)
            with measured:
                returned = function(*args, **kwargs)
                if told:
                    told(measured, returned)
                return returned

        wrapped = plain
    typed: Callable[P, R] = wrapped
    return typed


def _generator(
    function: Callable[..., Any],
    begin: Callable[[], Prediction | Stage | None],
    told: Callable[[Any, Any], None] | None,
) -> Callable[..., Any]:
    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Generator[Any, None, Any]:
        measured = begin()
        if measured is None:
            return (yield from function(*args, **kwargs))
        _open(measured)
        returned = functools.partial(told, measured) if told else None
        chunks: Stream[Any] = Stream(measured, function(*args, **kwargs), returned)
        return (yield from chunks)

    return generator


def _async_generator(
    function: Callable[..., Any], begin: Callable[[], Prediction | Stage | None]
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        measured = begin()
        chunks = function(*args, **kwargs)
        if measured is not None:
            _open(measured)
            chunks = AsyncStream(measured, chunks)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    return generator


def _open(measured: Measured) -> None:
    """Begins what a stream will end."""
    if isinstance(measured, Prediction):
        measured.hand_out()
    else:
        measured.begin()
