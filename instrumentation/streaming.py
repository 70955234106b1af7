"""Results that come in chunks: the prediction stays open until the last one, whichever thread or task asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import Context

T = TypeVar("T")


class Streaming(Protocol):
    """What a stream tells of itself: a prediction, or a stage."""

    @property
    def context(self) -> Context:
        """Where the chunks are made."""

    def chunk(self) -> None:
        """A chunk was made."""

    def stream_ended(self, error: BaseException | None) -> None:
        """No more chunks; `GeneratorExit` where nobody wanted them."""


class _Steps(Generic[T]):
    """What both kinds of stream do around a step.

    Each step runs in the context that the step before left, and leaves its caller's as it was: as if the generator had
    a context of its own, which Python does not give it.
    """

    def __init__(self, call: Streaming, returned: Callable[[Any], None] | None = None) -> None:
        self._call = call
        self._returned = returned
        self._inside = call.context
        self._outside = self._inside
        self.ended = False

    def _enter(self) -> None:
        self._outside = otel_context.get_current()
        otel_context.attach(self._inside)

    def _leave(self) -> None:
        self._inside = otel_context.get_current()
        otel_context.attach(self._outside)

    def _end(self, error: BaseException | None) -> None:
        if not self.ended:
            self.ended = True
            self._call.stream_ended(error)

    def __del__(self) -> None:
        """Nobody wants the rest: the client has left, or a loop was broken."""
        self._end(GeneratorExit())


class Stream(_Steps[T], Iterator[T]):
    """Chunks of a plain iterable; see `Prediction.stream`."""

    def __init__(self, call: Streaming, chunks: Iterable[T], returned: Callable[[Any], None] | None = None) -> None:
        super().__init__(call, returned)
        self._chunks = iter(chunks)

    def __next__(self) -> T:
        """The next chunk."""
        self._enter()
        try:
            chunk = next(self._chunks)
        except StopIteration as end:
            if self._returned:
                self._returned(end.value)
            self._end(None)
            raise
        except BaseException as error:
            self._end(error)
            raise
        finally:
            self._leave()
        self._call.chunk()
        return chunk

    def close(self) -> None:
        """No more chunks are wanted."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        self._end(GeneratorExit())


class AsyncStream(_Steps[T], AsyncIterator[T]):
    """Chunks of an asynchronous iterable; see `Prediction.stream`."""

    def __init__(self, call: Streaming, chunks: AsyncIterable[T]) -> None:
        super().__init__(call)
        self._chunks = aiter(chunks)

    async def __anext__(self) -> T:
        """The next chunk."""
        self._enter()
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._end(None)
            raise
        except asyncio.CancelledError:
            # A server that sees its client leave cancels the response.
            self._end(GeneratorExit())
            raise
        except BaseException as error:
            self._end(error)
            raise
        finally:
            self._leave()
        self._call.chunk()
        return chunk

    async def aclose(self) -> None:
        """No more chunks are wanted."""
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
        self._end(GeneratorExit())
