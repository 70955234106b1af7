"""The one owner of HTTP telemetry: a pure ASGI middleware around everything the application does.

Latency is what the client waited for, until the last byte of the body; background tasks are not in it (contrib #3591).
Sizes belong to the request they are of, also when many are in flight (contrib PR #5081). The span and the metrics are
made from one measurement, so they agree.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from opentelemetry import context as otel_context

from instrumentation.guard import guard
from instrumentation.request import Message, Owner, Receive, Request, Scope, Send, websocket

App = Callable[[Scope, Receive, Send], Awaitable[None]]

# In the scope: telemetry of this request has an owner; a mounted application that is instrumented too stands aside.
_OWNED: Final = "otel_sidecar.http"
# FastAPI >= 0.142 stands aside where this key is there: it silences mounted sub-applications.
_FASTAPI_NATIVE: Final = "fastapi.telemetry"


class TelemetryMiddleware:
    """Measures each HTTP request and websocket connection once.

    Args:
        app: what is measured.
        owner: what measures.
        excluded: says of a request's URL that it has no telemetry.
        on_start, on_stop: awaited when the application's lifespan begins and has ended.
    """

    def __init__(
        self,
        app: App,
        owner: Owner,
        *,
        excluded: Callable[[Scope], bool],
        on_start: Callable[[], Awaitable[None]],
        on_stop: Callable[[], Awaitable[None]],
    ) -> None:
        # Named as Starlette names it: others find the application behind us by walking `.app`.
        self.app = app
        self.owner = owner
        self._excluded = excluded
        self._on_start = on_start
        self._on_stop = on_stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI scope."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
        elif kind == "http" and self._takes(scope):
            await self._http(scope, receive, send)
        elif kind == "websocket" and self._takes(scope):
            await websocket(self.owner, self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _takes(self, scope: Scope) -> bool:
        """Whether this request is ours to measure; if so, marks it."""
        with guard:
            if _OWNED in scope or self._excluded(scope):
                return False
            scope[_OWNED] = True
            scope.setdefault(_FASTAPI_NATIVE, None)
            return True
        return False

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = None
        with guard:
            request = Request(self.owner, scope, receive, send)
        if request is None:
            await self.app(scope, receive, send)
            return
        token = otel_context.attach(request.context)
        try:
            await self.app(scope, request.receive, request.send)
        except BaseException as error:
            request.returned(error)
            raise
        else:
            request.returned(None)
        finally:
            otel_context.detach(token)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                # The server may kill the process right after this message (SIGTERM skips atexit): flush before it.
                await self._on_stop()
            await send(message)

        await self._on_start()
        await self.app(scope, receive, sending)
