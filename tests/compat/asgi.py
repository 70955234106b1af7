"""The smallest ASGI client: what drives an application in environments that have no HTTP client and no pytest."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

_RECEIVED: dict[str, list[dict[str, Any]]] = {
    "http": [{"type": "http.request", "body": b"", "more_body": False}],
    "websocket": [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}],
}


def request(app: Any, method: str, path: str, *, host: str = "api.example") -> int | None:
    """Sends one request, or opens one websocket (`WS`); the status, None where none came.

    Exceptions of the application end here, as they do in a server.
    """
    kind = "websocket" if method == "WS" else "http"
    scope = {
        "type": kind, "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "subprotocols": [], "state": {},
        "scheme": "ws" if kind == "websocket" else "http", "headers": [(b"host", host.encode())],
        "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    if kind == "http":
        scope["method"] = method
    statuses: list[int] = []
    waiting = list(_RECEIVED[kind])

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def run() -> None:
        with suppress(Exception):
            await app(scope, receive, send)

    asyncio.run(run())
    return statuses[0] if statuses else None


def lifespan(app: Any) -> list[str]:
    """Starts and stops the application; what it answered."""
    told = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    answered: list[str] = []

    async def receive() -> dict[str, Any]:
        return told.pop(0)

    async def send(message: dict[str, Any]) -> None:
        answered.append(message["type"])

    asyncio.run(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send))
    return answered
