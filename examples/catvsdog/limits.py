"""Stops an upload at its size limit while it is being received, before it fills a disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PATIENCE = 4  # limits' worth of bytes that are read and thrown away, so that a sending client sees the answer


class BodyLimit:
    """ASGI middleware: calls `refuse`, which raises, for a request body of more than `limit` bytes.

    A refused body is read on for a while and thrown away: a client that meets a closed connection while it is sending
    would not read the answer. One that announces far too much is refused at once.
    """

    def __init__(self, app: ASGIApp, limit: int, refuse: Callable[[], NoReturn]) -> None:
        self._app, self._limit, self._refuse = app, limit, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
        received = 0

        # Raised from here the refusal reaches the application where it reads, so its own handlers answer it.
        async def bounded() -> Message:
            nonlocal received
            if announced > self._limit * _PATIENCE:
                self._refuse()
            message = await receive()
            received += len(message.get("body", b""))
            if max(announced, received) > self._limit:
                while message.get("more_body", False) and received <= self._limit * _PATIENCE:
                    message = await receive()
                    received += len(message.get("body", b""))
                self._refuse()
            return message

        await self._app(scope, bounded, send)
