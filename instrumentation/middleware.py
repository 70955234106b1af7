"""The one owner of HTTP telemetry: a pure ASGI middleware around everything the application does.

Latency is what the client waited for, until the last byte of the body; background tasks are not in it (contrib #3591).
Sizes belong to the request they are of, also when many are in flight (contrib PR #5081). The span and the metrics are
made from one measurement, so they agree.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from instrumentation import semconv
from instrumentation.guard import guard
from instrumentation.http import HEADER_GETTER, error_type, method_of, start_attributes
from instrumentation.instruments import HttpInstruments
from instrumentation.routes import http_route

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# In the scope: telemetry of this request has an owner; a mounted application that is instrumented too stands aside.
_OWNED: Final = "otel_sidecar.http"
# FastAPI >= 0.142 stands aside where this key is there: it silences mounted sub-applications.
_FASTAPI_NATIVE: Final = "fastapi.telemetry"


class TelemetryMiddleware:
    """Measures each HTTP request once.

    Args:
        app: what is measured.
        routes: the application's routes, looked at when a request does not tell its own.
        tracer: makes the server spans.
        instruments: the HTTP metrics.
        excluded: says of a request's URL that it has no telemetry.
        stock_inside: the stock instrumentor's middleware is in the application's own stack: spans are its own.
        stock_metrics: where the stock instrumentor is, it writes the stable HTTP metrics: ours would be a second set.
        on_start, on_stop: awaited when the application's lifespan begins and has ended.
    """

    def __init__(
        self,
        app: App,
        *,
        routes: Callable[[], Iterable[Any]],
        tracer: trace.Tracer,
        instruments: HttpInstruments,
        excluded: Callable[[Scope], bool],
        stock_inside: bool,
        stock_metrics: bool,
        on_start: Callable[[], Awaitable[None]],
        on_stop: Callable[[], Awaitable[None]],
    ) -> None:
        # Named as Starlette names it: others find the application behind us by walking `.app`.
        self.app = app
        self.routes = routes
        self.tracer = tracer
        self.instruments = instruments
        self.stock_inside = stock_inside
        self.stock_metrics = stock_metrics
        self._excluded = excluded
        self._on_start = on_start
        self._on_stop = on_stop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI scope."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = self._begin(scope, receive, send)
        if request is None:
            await self.app(scope, receive, send)
            return
        token = otel_context.attach(request.context)
        try:
            await self.app(scope, request.receive, request.send)
        except BaseException as error:
            request.finish(error)
            raise
        else:
            request.finish(None)
        finally:
            otel_context.detach(token)

    def _begin(self, scope: Scope, receive: Receive, send: Send) -> _Request | None:
        with guard:
            if _OWNED in scope or self._excluded(scope):
                return None
            scope[_OWNED] = True
            scope.setdefault(_FASTAPI_NATIVE, None)
            return _Request(self, scope, receive, send)
        return None

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                # The server may kill the process right after this message (SIGTERM skips atexit): flush before it.
                await self._on_stop()
            await send(message)

        await self._on_start()
        await self.app(scope, receive, sending)


class _Request:
    """One request from its first byte to its last."""

    __slots__ = (
        "_active_attributes", "_begun_ns", "_finished", "_instruments", "_method", "_receive", "_routes", "_scope",
        "_send", "_took_ns", "context", "received", "sent", "span", "started_ns", "status",
    )  # fmt: skip

    def __init__(self, owner: TelemetryMiddleware, scope: Scope, receive: Receive, send: Send) -> None:
        self._routes = owner.routes
        self._scope, self._receive, self._send = scope, receive, send
        self._method = method_of(scope)
        self.status: int | None = None
        self.received = self.sent = 0
        self._finished = False
        self._took_ns: int | None = None
        self.context: Context = otel_context.get_current()
        self.span: Span = trace.INVALID_SPAN
        attributes = start_attributes(scope, self._method)
        self._active_attributes = {
            semconv.HTTP_REQUEST_METHOD: self._method,
            semconv.URL_SCHEME: attributes[semconv.URL_SCHEME],
        }
        self.started_ns = time.time_ns()
        self._begun_ns = time.perf_counter_ns()
        # The stock instrumentor may also have been put around us later: that shows here alone.
        stock = owner.stock_inside or _in_server_span(self.context)
        self._instruments = None if stock and owner.stock_metrics else owner.instruments
        if not stock:
            parent = propagate.extract(scope, context=self.context, getter=HEADER_GETTER)
            self.span = owner.tracer.start_span(
                span_method(self._method),
                context=parent,
                kind=SpanKind.SERVER,
                attributes=attributes,
                start_time=self.started_ns,
            )
            self.context = trace.set_span_in_context(self.span, parent)
        if self._instruments:
            self._instruments.active.add(1, self._active_attributes)

    async def receive(self) -> Message:
        """Passes a message in and counts its bytes."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Passes a message out; the last one ends the measurement."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
        await self._send(message)
        if kind == "http.response.body":
            self.sent += len(message.get("body", b""))
            if not message.get("more_body", False):
                self._answered()
        elif kind == "http.response.pathsend":
            self._answered()

    def _answered(self) -> None:
        """The client has everything. What runs on is a background task."""
        if self._took_ns is None:
            self._took_ns = time.perf_counter_ns() - self._begun_ns
            # Behind a 5xx an exception may be on its way up: it belongs on the span.
            if self.status is not None and self.status < 500:
                self.finish(None)

    def finish(self, error: BaseException | None) -> None:
        """Ends the span and records the metrics, once; never raises."""
        if self._finished:
            return
        self._finished = True
        took_ns = self._took_ns if self._took_ns is not None else time.perf_counter_ns() - self._begun_ns
        with guard:
            if self._instruments:
                self._instruments.active.add(-1, self._active_attributes)
            attributes = self._outcome(error)
            if self.span.is_recording():
                self._end_span(attributes, error)
            self.span.end(self.started_ns + took_ns)
            if self._instruments:
                self._record(self._instruments, attributes, took_ns / 1e9)

    def _outcome(self, error: BaseException | None) -> dict[str, str | int]:
        """The attributes that spans and metrics share."""
        attributes: dict[str, str | int] = dict(self._active_attributes)
        if version := self._scope.get("http_version"):
            attributes[semconv.NETWORK_PROTOCOL_VERSION] = version
        route = None
        with guard:
            route = http_route(self._scope, self._routes())
        if route is not None:
            attributes[semconv.HTTP_ROUTE] = route
        if self.status is not None:
            attributes[semconv.HTTP_RESPONSE_STATUS_CODE] = self.status
        if error is not None:
            attributes[semconv.ERROR_TYPE] = error_type(error)
        elif self.status is not None and self.status >= 500:
            attributes[semconv.ERROR_TYPE] = str(self.status)
        return attributes

    def _end_span(self, attributes: dict[str, str | int], error: BaseException | None) -> None:
        span = self.span
        if route := attributes.get(semconv.HTTP_ROUTE):
            span.update_name(f"{span_method(self._method)} {route}")
        span.set_attributes(
            attributes | {semconv.HTTP_REQUEST_BODY_SIZE: self.received, semconv.HTTP_RESPONSE_BODY_SIZE: self.sent}
        )
        if error is not None:
            span.record_exception(error)
        if semconv.ERROR_TYPE in attributes:
            span.set_status(Status(StatusCode.ERROR, str(error) if error is not None else None))

    def _record(self, instruments: HttpInstruments, attributes: dict[str, str | int], seconds: float) -> None:
        # Exemplars come from the context that is given, not from whatever span is current in the sending task.
        instruments.duration.record(seconds, attributes, self.context)
        instruments.request_size.record(self.received, attributes, self.context)
        instruments.response_size.record(self.sent, attributes, self.context)


def span_method(method: str) -> str:
    """The method as a span's name has it (semconv: `HTTP` for an unknown one)."""
    return "HTTP" if method == "_OTHER" else method


def _in_server_span(context: Context) -> bool:
    """Whether another instrumentation of this process has a server span open around us."""
    span = trace.get_current_span(context)
    return span.is_recording() and getattr(span, "kind", None) is SpanKind.SERVER
