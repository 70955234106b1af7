"""What the stock ASGI and FastAPI instrumentations assert about spans and metrics in the stable conventions, here.

Each test is one of their facts, but for those that other tests of this folder hold already; where ours differs on
purpose, docs/http-differences.md says why, and the test here holds the difference.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.middleware.httpsredirect import HTTPSRedirectMiddleware
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute, APIRouter
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from starlette.routing import Match
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from instrumentation import instrument
from tests.compat.asgi import lifespan, request
from tests.support.memory import Telemetry

DURATION = "http.server.request.duration"
METRICS = {"http.server.active_requests", "http.server.request.body.size", "http.server.response.body.size", DURATION}
# The stable conventions' attributes of each.
RECOMMENDED = {
    "error.type", "http.request.method", "http.response.status_code", "http.route", "network.protocol.version",
    "url.scheme",
}  # fmt: skip


def service() -> FastAPI:
    app = FastAPI()

    @app.get("/user/{username}")
    async def user(username: str) -> str:
        return username

    @app.get("/error")
    async def error() -> None:
        raise KeyError("the cause")

    instrument(app)
    return app


def scope_of(path: str = "/user/ann", **changes: Any) -> dict[str, Any]:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.0", "method": "GET", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": [],
        "client": ("127.0.0.1", 32767), "server": ("127.0.0.1", 80), **changes,
    }  # fmt: skip


def send(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    """Sends a request with an empty body; what the application sent."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def take(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, take))
    return sent


def only_span(telemetry: Telemetry) -> ReadableSpan:
    (span,) = telemetry.spans()
    return span


def attributes(telemetry: Telemetry) -> dict[str, Any]:
    return dict(only_span(telemetry).attributes or {})


def test_a_request_that_tells_little_leaves_no_invented_attributes(telemetry: Telemetry) -> None:
    """No server, no client, no headers: the stock instrumentation says 0.0.0.0 and port 80, ours says nothing."""
    app = service()
    send(app, scope_of(server=None, client=None))
    assert attributes(telemetry) == {
        "http.request.method": "GET",
        "http.route": "/user/{username}",
        "http.response.status_code": 200,
        "http.request.body.size": 0,
        "http.response.body.size": 5,
        "url.scheme": "http",
        "url.path": "/user/ann",
        "network.protocol.version": "1.0",
    }


def test_the_server_is_the_sockets_where_no_host_header_tells_another(telemetry: Telemetry) -> None:
    """Stock: always the socket's."""
    app = service()
    send(app, scope_of())
    assert (attributes(telemetry)["server.address"], attributes(telemetry)["server.port"]) == ("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        (b"api.mycompany.com", "api.mycompany.com", 80),
        (b"staging.myapp.com:8443", "staging.myapp.com", 8443),
        (b"192.168.1.100", "192.168.1.100", 80),
        (b"[2001:db8::1]:8080", "2001:db8::1", 8080),
        (b"test.domain.co.uk:notaport", "test.domain.co.uk", 80),
    ],
)
def test_the_server_is_whom_the_client_asked_for(host: bytes, address: str, port: int, telemetry: Telemetry) -> None:
    """The conventions ask for the Host header's name; the stock instrumentation keeps the socket's."""
    send(service(), scope_of(headers=[(b"host", host)]))
    assert (attributes(telemetry)["server.address"], attributes(telemetry)["server.port"]) == (address, port)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (b"foo=bar", "foo=bar"),
        (b"foo%3Dbar", "foo%3Dbar"),
        (b"X-Goog-Signature=1234567890", "X-Goog-Signature=REDACTED"),
        (b"a=1&sig=secret&AWSAccessKeyId=key", "a=1&sig=REDACTED&AWSAccessKeyId=REDACTED"),
    ],
)
def test_the_query_is_told_without_its_secrets(query: bytes, told: str, telemetry: Telemetry) -> None:
    """`url.query`, as it came, but for known signatures and credentials."""
    send(service(), scope_of(query_string=query))
    assert attributes(telemetry)["url.query"] == told


def test_the_span_ends_with_the_last_trailer(telemetry: Telemetry) -> None:
    """A response with trailers is not over with its body; what comes behind them is."""
    gate = 0.06

    class Trailing:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
            await send({"type": "http.response.body", "body": b"*"})
            await asyncio.sleep(gate)
            await send({"type": "http.response.trailers", "headers": [], "more_trailers": True})
            await send({"type": "http.response.trailers", "headers": [], "more_trailers": False})
            await asyncio.sleep(3 * gate)

    app = FastAPI()
    app.add_middleware(Trailing)
    instrument(app)
    send(app, scope_of())
    (point,) = telemetry.metrics()[DURATION]
    assert gate <= point.value < 3 * gate


def test_a_span_that_the_service_names_keeps_its_name(telemetry: Telemetry) -> None:
    """What their `server_request_hook` and `default_span_details` are for is one line in the service."""
    app = FastAPI()

    @app.get("/named")
    async def named() -> None:
        trace.get_current_span().update_name("Dymaxion")

    instrument(app)
    request(app, "GET", "/named")
    assert only_span(telemetry).name == "Dymaxion"


def test_lifespan_leaves_no_telemetry(telemetry: Telemetry) -> None:
    """It passes through."""
    assert lifespan(service()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert telemetry.spans() == []
    assert DURATION not in telemetry.metrics()


def test_metrics_have_the_conventions_names_and_attributes(telemetry: Telemetry) -> None:
    """Three requests are three counts of one point of each metric."""
    app = service()
    for _ in range(3):
        send(app, scope_of())
    found = {name: points for name, points in telemetry.metrics().items() if name in METRICS}
    assert set(found) == METRICS
    for name, points in found.items():
        if name == "http.server.active_requests":
            assert {point.value for point in points} == {0}
            continue
        (point,) = points
        assert point.count == 3
        assert set(point.attributes) <= RECOMMENDED


def test_durations_have_the_conventions_boundaries_and_more(telemetry: Telemetry) -> None:
    """Every advised boundary is there, so any stock dashboard works; the usual objectives' are there as well."""
    send(service(), scope_of())
    (point,) = telemetry.metrics()[DURATION]
    advised = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
    assert advised <= set(point.boundaries)


def test_what_is_not_sampled_is_measured(telemetry: Telemetry) -> None:
    """Sampling changes spans, never metrics."""
    unsampled = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    send(service(), scope_of(headers=[(b"traceparent", unsampled)]))
    assert telemetry.spans() == []
    (point,) = telemetry.metrics()[DURATION]
    assert (point.count, point.attributes["http.route"]) == (1, "/user/{username}")


def test_the_routes_template_is_without_the_proxys_prefix(telemetry: Telemetry) -> None:
    """`root_path` is where a proxy has put the service, not a part of its routes."""
    send(service(), scope_of("/api/v2/user/ann", root_path="/api/v2"))
    assert only_span(telemetry).name == "GET /user/{username}"


def test_inside_of_another_server_span_there_is_no_second(telemetry: Telemetry) -> None:
    """Stock: an internal span as its child. Ours: what we know is measured, the trace is theirs."""
    app = service()
    with trace.get_tracer("another").start_as_current_span("theirs", kind=SpanKind.SERVER):
        request(app, "GET", "/user/ann")
    assert [span.name for span in telemetry.spans()] == ["theirs"]
    assert [point.count for point in telemetry.metrics()[DURATION]] == [1]


def test_an_exception_goes_on_as_it_was() -> None:
    """The server sees what it would see without us."""
    app = FastAPI()
    cause = ValueError("whatever")

    async def bad() -> None:
        raise cause

    app.add_api_route("/", bad)
    instrument(app)
    with pytest.raises(ValueError, match="whatever") as raised:
        TestClient(app).get("/")
    assert raised.value is cause


def test_an_error_handler_runs_once_and_inside_of_the_trace(telemetry: Telemetry) -> None:
    """Its status is the request's; the exception is on the span once, although it was handled."""
    app = FastAPI()
    traces: list[int] = []

    @app.exception_handler(Exception)
    async def handler(_: Request, _error: Exception) -> PlainTextResponse:
        traces.append(trace.get_current_span().get_span_context().trace_id)
        return PlainTextResponse("", 501)

    @app.get("/foobar")
    async def foobar() -> None:
        raise KeyError("the cause")

    instrument(app)
    TestClient(app, raise_server_exceptions=False).get("/foobar")
    span = only_span(telemetry)
    assert traces == [span.context.trace_id]
    assert span.name == "GET /foobar"
    assert attributes(telemetry)["http.response.status_code"] == 501
    assert span.status.status_code is StatusCode.ERROR
    (event,) = span.events
    assert (event.name, (event.attributes or {})["exception.type"]) == ("exception", "KeyError")


def test_an_exception_of_a_middleware_is_on_the_span(telemetry: Telemetry) -> None:
    """And the route that it kept from being reached is known all the same."""
    app = FastAPI()
    app.add_api_route("/foobar", lambda: None)

    @app.middleware("http")
    async def failing(_request: Request, _next: Any) -> None:
        raise KeyError("the cause")

    instrument(app)
    TestClient(app, raise_server_exceptions=False).get("/foobar")
    span = only_span(telemetry)
    assert (span.name, span.status.status_code) == ("GET /foobar", StatusCode.ERROR)
    assert [event.name for event in span.events] == ["exception"]
    assert attributes(telemetry)["http.response.status_code"] == 500


def test_a_redirect_by_a_middleware_has_its_route(telemetry: Telemetry) -> None:
    """It answered before any route was asked."""
    app = service()
    app.add_middleware(HTTPSRedirectMiddleware)
    assert request(app, "GET", "/user/ann") == 307
    assert only_span(telemetry).name == "GET /user/{username}"


def test_a_route_class_that_looks_at_its_own_mark_in_the_scope_works(telemetry: Telemetry) -> None:
    """A custom route's `matches` counts on what a middleware wrote."""

    class Marking:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            scope["nonstandard"] = "here"
            await self.app(scope, receive, send)

    class Marked(APIRoute):
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            assert "nonstandard" in scope
            return super().matches(scope)

    router = APIRouter(route_class=Marked)
    router.add_api_route("/success", lambda: None)
    app = FastAPI()
    app.include_router(router, prefix="/custom")
    app.add_middleware(Marking)
    instrument(app, metrics_path=None)
    assert request(app, "GET", "/custom/success") == 200
    assert only_span(telemetry).name == "GET /custom/success"


def test_any_middleware_stack_is_measured(telemetry: Telemetry) -> None:
    """Stock: skipped with an error where the outermost layer is not Starlette's own."""
    app = FastAPI()
    app.add_api_route("/foobar", lambda: None)
    build = app.build_middleware_stack

    class Outer:
        def __init__(self, inner: ASGIApp) -> None:
            self.app = inner

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)

    app.build_middleware_stack = lambda: Outer(build())  # type: ignore[method-assign] # as a service may do it
    instrument(app)
    assert request(app, "GET", "/foobar") == 200
    assert only_span(telemetry).name == "GET /foobar"


def test_an_application_that_is_gone_is_collected() -> None:
    """Nothing of ours holds on to it."""
    app = service()
    request(app, "GET", "/user/ann")
    gone = weakref.ref(app)
    del app
    gc.collect()
    assert gone() is None
