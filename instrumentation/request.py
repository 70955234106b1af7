"""One HTTP request or websocket connection, from its first byte to its last, as a span and the HTTP metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from instrumentation import semconv
from instrumentation.clock import clock
from instrumentation.guard import guard
from instrumentation.headers import HeaderCapture
from instrumentation.http import HEADER_GETTER, error_type, method_of, span_method, start_attributes
from instrumentation.instruments import HttpInstruments
from instrumentation.keep import KeepRules, KeepState, begin_keep
from instrumentation.routes import http_route

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# `error.type` of a request whose client left before it had the answer: nobody's exception, and no server's error.
CLIENT_DISCONNECTED: Final = "client_disconnected"
# What the application does after the last byte is its own unwinding up to here, and a background task beyond. ASGI does
# not tell the two apart; unwinding takes microseconds, on a crowded machine many milliseconds.
_UNWINDING_NS: Final = 50_000_000
_RESPONSE_CONTEXT: Final = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class Owner:
    """What measures requests of one application.

    Attributes:
        routes: the application's routes, looked at when a request does not tell its own.
        tracer: makes the server spans.
        instruments: the HTTP metrics.
        stock_inside: the stock instrumentor's middleware is in the application's own stack: spans are its own.
        stock_metrics: where the stock instrumentor is, it writes the stable HTTP metrics: ours would be a second set.
        response_header: whether responses carry `traceparent`.
        headers: which headers the server spans carry; None: none.
        keep: when a trace is kept that nobody marked.
    """

    routes: Callable[[], Iterable[Any]]
    tracer: trace.Tracer
    instruments: HttpInstruments
    stock_inside: bool = False
    stock_metrics: bool = False
    response_header: bool = False
    headers: HeaderCapture | None = None
    keep: KeepRules = field(default_factory=KeepRules)


class Request:
    """One HTTP request.

    Wraps the server's `receive` and `send`; `finish` may be called at the last byte and again when the application
    returns, and counts once.
    """

    __slots__ = (
        "_active", "_active_attributes", "_begun_ns", "_disconnected", "_finished", "_first_byte_ns", "_instruments",
        "_keep", "_method", "_owner", "_receive", "_scope", "_send", "_took_ns", "_trailers", "attributes", "context",
        "received", "sent", "span", "started_ns", "status",
    )  # fmt: skip

    def __init__(self, owner: Owner, scope: Scope, receive: Receive, send: Send) -> None:
        self._owner = owner
        self._scope, self._receive, self._send = scope, receive, send
        self._method = method_of(scope)
        self.status: int | None = None
        self.received = self.sent = 0
        self._finished = self._disconnected = self._trailers = False
        self._first_byte_ns: int | None = None
        self._took_ns: int | None = None
        attributes = start_attributes(scope)
        attributes[semconv.HTTP_REQUEST_METHOD] = self._method
        self._active_attributes = {
            semconv.HTTP_REQUEST_METHOD: self._method,
            semconv.URL_SCHEME: attributes[semconv.URL_SCHEME],
        }
        self.attributes: dict[str, str | int] = dict(self._active_attributes)
        self.started_ns = clock.wall_ns()
        self._begun_ns = clock.monotonic_ns()
        context = otel_context.get_current()
        # The stock instrumentor may also have been put around us later: that shows here alone.
        stock = owner.stock_inside or _in_server_span(context)
        self._instruments = None if stock and owner.stock_metrics else owner.instruments
        self.span: Span = trace.INVALID_SPAN
        if not stock:
            self.span, context = server_span(
                owner, scope, span_method(self._method), attributes, started_ns=self.started_ns, context=context
            )
        # Where another's server span is yet to come, inside of us, there is nothing that could carry the mark.
        self._keep: KeepState | None = None
        if not owner.stock_inside:
            self._keep, context = begin_keep(trace.get_current_span(context), context, owner.keep)
        self.context: Context = context
        # Under its old names as well the stock instrumentor counts what is in flight by this metric's name.
        self._active = None if stock else owner.instruments.active
        if self._active:
            self._active.add(1, self._active_attributes)

    async def receive(self) -> Message:
        """Passes a message in and counts its bytes."""
        message = await self._receive()
        if message["type"] == "http.request":
            self.received += len(message.get("body", b""))
        elif message["type"] == "http.disconnect" and self._took_ns is None:
            self._disconnected = True
        return message

    async def send(self, message: Message) -> None:
        """Passes a message out; the last one ends the measurement."""
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            self._trailers = message.get("trailers", False)
            if self._owner.headers and self.span.is_recording():
                with guard:
                    self.span.set_attributes(self._owner.headers.of_response(message.get("headers", ())))
            if self._owner.response_header:
                with guard:
                    self._tell_trace(message)
        await self._send(message)
        if kind == "http.response.body":
            self.sent += len(message.get("body", b""))
            if not message.get("more_body", False):
                if not self._trailers:
                    self._answered()
            elif self._first_byte_ns is None and message.get("body"):
                self._first_byte_ns = clock.monotonic_ns() - self._begun_ns
        elif kind == "http.response.pathsend" or (
            kind == "http.response.trailers" and not message.get("more_trailers", False)
        ):
            self._answered()

    def _tell_trace(self, message: Message) -> None:
        carrier: dict[str, str] = {}
        _RESPONSE_CONTEXT.inject(carrier, self.context)
        told = [(name.encode(), value.encode()) for name, value in carrier.items() if name == "traceparent"]
        message["headers"] = [*message.get("headers", ()), *told]

    def _answered(self) -> None:
        """The client has everything. What runs on is a background task."""
        if self._took_ns is None:
            self._took_ns = clock.monotonic_ns() - self._begun_ns
            # Behind a 5xx an exception may be on its way up: it belongs on the span.
            if self.status is not None and self.status < 500:
                self._finish(None)

    def returned(self, error: BaseException | None) -> None:
        """The application has returned, or raised; never raises."""
        if self._finished:
            with guard:
                self._background(error)
        else:
            self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        """Ends the span and records the metrics, once."""
        self._finished = True
        if self._took_ns is None:
            self._took_ns = clock.monotonic_ns() - self._begun_ns
        else:
            self._disconnected = False
        with guard:
            if self._active:
                self._active.add(-1, self._active_attributes)
            self._describe(error)
            self._decide_keep()
            if self.span.is_recording():
                self._end_span(error)
            self.span.end(self.started_ns + self._took_ns)
            if self._instruments:
                self._record(self._instruments)

    def _describe(self, error: BaseException | None) -> None:
        """The attributes that spans and metrics share."""
        attributes = self.attributes
        if version := self._scope.get("http_version"):
            attributes[semconv.NETWORK_PROTOCOL_VERSION] = version
        with guard:
            if (route := http_route(self._scope, self._owner.routes())) is not None:
                attributes[semconv.HTTP_ROUTE] = route
        if self.status is not None:
            attributes[semconv.HTTP_RESPONSE_STATUS_CODE] = self.status
        if self._disconnected:
            attributes[semconv.ERROR_TYPE] = CLIENT_DISCONNECTED
        elif error is not None:
            attributes[semconv.ERROR_TYPE] = error_type(error)
        elif self.status is not None and self.status >= 500:
            attributes[semconv.ERROR_TYPE] = str(self.status)

    def _decide_keep(self) -> None:
        """The last word on whether this trace is kept, before the span ends and the metrics take their exemplars."""
        keep, attributes = self._keep, self.attributes
        if keep is None or self._disconnected:
            return
        if semconv.ERROR_TYPE in attributes:
            keep.keep(semconv.OTEL_SIDECAR_KEEP_REASON_ERROR)
        elif (self._took_ns or 0) >= self._owner.keep.slow_after_s(attributes.get(semconv.HTTP_ROUTE)) * 1e9:
            keep.keep(semconv.OTEL_SIDECAR_KEEP_REASON_SLOW)

    def _end_span(self, error: BaseException | None) -> None:
        span, attributes = self.span, self.attributes
        method = span_method(self._method)
        # A service that has named the span itself keeps its name.
        if (route := attributes.get(semconv.HTTP_ROUTE)) and getattr(span, "name", method) == method:
            span.update_name(f"{method} {route}")
        sizes = {semconv.HTTP_REQUEST_BODY_SIZE: self.received, semconv.HTTP_RESPONSE_BODY_SIZE: self.sent}
        span.set_attributes({**attributes, **sizes})
        if self._keep and self._keep.kept:
            # Said again: an SDK that limits the number of attributes drops the oldest ones.
            span.set_attribute(semconv.OTEL_SIDECAR_KEEP, True)
        if self._disconnected:
            return
        if error is not None:
            span.record_exception(error)
        if semconv.ERROR_TYPE in attributes:
            span.set_status(Status(StatusCode.ERROR, str(error) if error is not None else None))

    def _record(self, instruments: HttpInstruments) -> None:
        # Exemplars come from the context that is given, not from whatever span is current in the sending task.
        attributes, context = self.attributes, self.context
        instruments.duration.record((self._took_ns or 0) / 1e9, attributes, context)
        instruments.request_size.record(self.received, attributes, context)
        instruments.response_size.record(self.sent, attributes, context)
        if self._first_byte_ns is not None:
            instruments.first_byte.record(self._first_byte_ns / 1e9, attributes, context)

    def _background(self, error: BaseException | None) -> None:
        """Background tasks: their own span in the request's trace, linked to its server span, and their own metric."""
        ran_ns = clock.monotonic_ns() - self._begun_ns - (self._took_ns or 0)
        if ran_ns < _UNWINDING_NS and error is None:
            return
        attributes = {key: value for key, value in self.attributes.items() if key != semconv.HTTP_RESPONSE_STATUS_CODE}
        if error is not None:
            attributes[semconv.ERROR_TYPE] = error_type(error)
        if self.span.get_span_context().is_valid:
            begun = self.started_ns + (self._took_ns or 0)
            link = trace.Link(self.span.get_span_context())
            span = self._owner.tracer.start_span(
                "background", self.context, attributes=attributes, links=[link], start_time=begun
            )
            if error is not None:
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, str(error)))
                # The server span has ended; a mark anywhere in the trace keeps it.
                KeepState(span).keep(semconv.OTEL_SIDECAR_KEEP_REASON_ERROR)
            span.end(begun + ran_ns)
        if self._instruments:
            self._instruments.background.record(ran_ns / 1e9, attributes, self.context)


async def websocket(
    owner: Owner, app: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope, receive: Receive, send: Send
) -> None:
    """One websocket connection as one server span, from the handshake to its close; there is no metric for it."""
    context = otel_context.get_current()
    if owner.stock_inside or _in_server_span(context):
        await app(scope, receive, send)
        return
    attributes = start_attributes(scope)
    attributes[semconv.NETWORK_PROTOCOL_NAME] = "websocket"
    span: Span = trace.INVALID_SPAN
    keep = KeepState(span)
    with guard:
        span, context = server_span(owner, scope, "WS", attributes, started_ns=clock.wall_ns(), context=context)
        keep, context = begin_keep(span, context, owner.keep)
    token = otel_context.attach(context)
    try:
        await app(scope, receive, send)
    except BaseException as error:
        with guard:
            keep.keep(semconv.OTEL_SIDECAR_KEEP_REASON_ERROR)
            span.record_exception(error)
            span.set_attribute(semconv.ERROR_TYPE, error_type(error))
            span.set_status(Status(StatusCode.ERROR, str(error)))
        raise
    finally:
        with guard:
            if (route := http_route(scope, owner.routes())) is not None:
                span.set_attribute(semconv.HTTP_ROUTE, route)
                span.update_name(f"WS {route}")
            span.end()
        otel_context.detach(token)


def server_span(
    owner: Owner, scope: Scope, name: str, attributes: dict[str, str | int], *, started_ns: int, context: Context
) -> tuple[Span, Context]:
    """A server span that goes on with the caller's trace, and the context in which it is current."""
    parent = propagate.extract(scope, context=context, getter=HEADER_GETTER)
    span = owner.tracer.start_span(
        name, context=parent, kind=SpanKind.SERVER, attributes=attributes, start_time=started_ns
    )
    if owner.headers and span.is_recording():
        span.set_attributes(owner.headers.of_request(scope.get("headers", ())))
    return span, trace.set_span_in_context(span, parent)


def _in_server_span(context: Context) -> bool:
    """Whether another instrumentation of this process has a server span open around us.

    One that is not sampled does not tell its kind; what else could be open around a whole application is a caller in
    the same process, and there the two are one trace that is not sampled.
    """
    span = trace.get_current_span(context)
    if span.is_recording():
        return getattr(span, "kind", None) is SpanKind.SERVER
    told = span.get_span_context()
    return told.is_valid and not told.is_remote
