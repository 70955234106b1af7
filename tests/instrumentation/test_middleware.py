"""Each HTTP request is measured once, and right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from opentelemetry import baggage
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.trace import SpanKind, StatusCode
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from instrumentation import instrument
from tests.support.memory import Telemetry, only

DURATION = "http.server.request.duration"


def client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False, base_url="http://api.example:8001")


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()

    @app.get("/users/{name}")
    async def user(name: str) -> dict[str, str]:
        return {"name": name}

    @app.get("/boom")
    async def boom() -> None:
        raise KeyError("the cause")

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    instrument(app)
    return app


def test_a_request_is_one_server_span_and_one_measurement(app: FastAPI, telemetry: Telemetry) -> None:
    """The span and the metric carry the stable conventions' attributes and the same duration."""
    assert client(app).get("/users/ann?k=v", headers={"user-agent": "probe"}).status_code == 200
    (span,) = telemetry.spans()
    assert (span.name, span.kind, span.status.status_code) == ("GET /users/{name}", SpanKind.SERVER, StatusCode.UNSET)
    attributes = dict(span.attributes or {})
    assert attributes.pop("http.response.body.size") == len(b'{"name":"ann"}')
    assert attributes == {
        "http.request.method": "GET",
        "http.route": "/users/{name}",
        "http.response.status_code": 200,
        "http.request.body.size": 0,
        "url.scheme": "http",
        "url.path": "/users/ann",
        "url.query": "k=v",
        "server.address": "api.example",
        "server.port": 8001,
        "client.address": "testclient",
        "network.protocol.version": "1.1",
        "user_agent.original": "probe",
    }
    found = telemetry.metrics()
    (duration,) = found[DURATION]
    assert duration.attributes == {
        "http.request.method": "GET",
        "http.route": "/users/{name}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
    }
    assert span.end_time is not None
    assert span.start_time is not None
    assert duration.value == pytest.approx((span.end_time - span.start_time) / 1e9, abs=1e-9)
    assert duration.count == 1
    (exemplar,) = duration.exemplars
    assert span.context is not None
    assert exemplar.trace_id == span.context.trace_id
    assert exemplar.span_id == span.context.span_id
    assert only(found["http.server.active_requests"], http__request__method="GET").value == 0
    assert only(found["http.server.response.body.size"], http__route="/users/{name}").value == 14


def test_an_unhandled_path_makes_no_series_of_its_own(app: FastAPI, telemetry: Telemetry) -> None:
    """Paths that no route matches share one series without a route."""
    for path in ("/a", "/b", "/c/d"):
        client(app).get(path)
    (point,) = telemetry.metrics()[DURATION]
    assert (point.count, point.attributes.get("http.route")) == (3, None)
    assert {span.name for span in telemetry.spans()} == {"GET"}


def test_an_unknown_method_is_other(app: FastAPI, telemetry: Telemetry) -> None:
    """A client cannot make series by inventing methods."""
    client(app).request("BREW", "/users/ann")
    (span,) = telemetry.spans()
    assert span.name == "HTTP /users/{name}"
    assert span.attributes is not None
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


def test_an_exception_is_a_500_with_its_type_on_span_and_metric(app: FastAPI, telemetry: Telemetry) -> None:
    """The handler that answers 500 is inside the measurement, and the exception is still seen."""
    assert client(app).get("/boom").status_code == 500
    (span,) = telemetry.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]
    (point,) = telemetry.metrics()[DURATION]
    assert point.attributes["error.type"] == "KeyError"
    assert point.attributes["http.response.status_code"] == 500


def test_a_4xx_is_no_error_of_the_server(app: FastAPI, telemetry: Telemetry) -> None:
    """Semantic conventions: a server span's status is an error for 5xx alone."""
    assert client(app).get("/teapot").status_code == 418
    assert telemetry.span("GET /teapot").status.status_code is StatusCode.UNSET
    (point,) = telemetry.metrics()[DURATION]
    assert "error.type" not in point.attributes


def test_latency_ends_with_the_last_byte_not_with_background_tasks(telemetry: Telemetry) -> None:
    """A background task of a quarter second is in neither the span nor the metric."""
    app = FastAPI()

    async def late() -> None:
        await asyncio.sleep(0.25)

    @app.get("/")
    async def root(tasks: BackgroundTasks) -> None:
        tasks.add_task(late)

    instrument(app)
    client(app).get("/")
    found = telemetry.metrics()
    (point,) = found[DURATION]
    assert point.value < 0.2
    (background,) = found["http.server.background.duration"]
    assert 0.25 <= background.value < 1
    server, after = telemetry.span("GET /"), telemetry.span("background")
    assert server.end_time is not None
    assert after.start_time is not None
    assert after.start_time >= server.end_time
    assert [link.context for link in after.links] == [server.context]


def test_an_exception_in_a_background_task_is_the_tasks_own(telemetry: Telemetry) -> None:
    """The request was answered well; the failed task shows on its own span and metric."""
    app = FastAPI()

    def fails() -> None:
        raise KeyError("late")

    @app.get("/")
    async def root(tasks: BackgroundTasks) -> None:
        tasks.add_task(fails)

    instrument(app)
    assert client(app).get("/").status_code == 200
    found = telemetry.metrics()
    assert "error.type" not in found[DURATION][0].attributes
    assert found["http.server.background.duration"][0].attributes["error.type"] == "KeyError"
    assert telemetry.span("GET /").status.status_code is StatusCode.UNSET
    assert telemetry.span("background").status.status_code is StatusCode.ERROR


def test_latency_of_a_stream_is_until_its_last_chunk(telemetry: Telemetry) -> None:
    """The first byte is early; the measurement waits for the last, and counts all bytes."""
    app = FastAPI()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            await asyncio.sleep(0.02)
            yield b"12345"

    @app.get("/")
    async def root() -> StreamingResponse:
        return StreamingResponse(chunks())

    instrument(app)
    client(app).get("/")
    found = telemetry.metrics()
    assert found[DURATION][0].value >= 0.08
    assert 0.02 <= found["http.server.response.first_byte.duration"][0].value < found[DURATION][0].value - 0.05
    assert found["http.server.response.body.size"][0].value == 20


def test_sizes_belong_to_their_request_when_many_are_in_flight(telemetry: Telemetry) -> None:
    """Concurrent requests of different sizes keep them apart."""
    app = FastAPI()
    gate = asyncio.Event()
    waiting = 0

    @app.post("/{size}")
    async def echo(size: int, request: Request) -> Response:
        nonlocal waiting
        body = await request.body()
        waiting += 1
        if waiting == 3:
            gate.set()
        await gate.wait()
        return PlainTextResponse(body * 2)

    instrument(app)

    async def post(size: int) -> None:
        sent = [{"type": "http.request", "body": b"x" * size, "more_body": False}]
        scope = _scope("POST", f"/{size}")
        await app(scope, _receiver(sent), _ignore)

    async def all_at_once() -> None:
        await asyncio.gather(*(post(size) for size in (1, 20, 300)))

    asyncio.run(all_at_once())
    sizes = sorted(
        (span.attributes["http.request.body.size"], span.attributes["http.response.body.size"])
        for span in telemetry.spans()
        if span.attributes
    )
    assert sizes == [(1, 2), (20, 40), (300, 600)]


def test_a_cancelled_request_is_measured_with_its_reason(telemetry: Telemetry) -> None:
    """A server that cancels the handler of a client that left: no status, `error.type` says why, nothing in flight."""
    app = FastAPI()

    @app.get("/")
    async def root() -> None:
        await asyncio.Event().wait()

    instrument(app)

    async def leave() -> None:
        task = asyncio.create_task(app(_scope("GET", "/"), _receiver([]), _ignore))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(leave())
    found = telemetry.metrics()
    assert found[DURATION][0].attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert only(found["http.server.active_requests"], http__request__method="GET").value == 0


def test_a_client_that_leaves_a_stream_is_no_error_of_the_server(telemetry: Telemetry) -> None:
    """The disconnect is named; the span's status stays unset, and nothing is in flight."""
    app = FastAPI()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.001)
            yield b"more"

    app.add_api_route("/", lambda: StreamingResponse(endless()))
    instrument(app)

    async def leave() -> None:
        sent: list[dict[str, Any]] = [{"type": "http.request", "body": b""}, {"type": "http.disconnect"}]
        await app(_scope("GET", "/"), _receiver(sent), _ignore)

    asyncio.run(leave())
    found = telemetry.metrics()
    assert found[DURATION][0].attributes["error.type"] == "client_disconnected"
    assert telemetry.span("GET /").status.status_code is StatusCode.UNSET
    assert only(found["http.server.active_requests"], http__request__method="GET").value == 0


def test_head_is_measured_like_get(telemetry: Telemetry) -> None:
    """Starlette answers HEAD for GET routes; it has its own series."""
    app = FastAPI()
    app.router.routes.append(Route("/page", _hello))
    instrument(app)
    assert client(app).head("/page").status_code == 200
    (point,) = telemetry.metrics()[DURATION]
    assert (point.attributes["http.request.method"], point.attributes["http.route"]) == ("HEAD", "/page")


def test_a_response_tells_its_trace_when_asked_to(telemetry: Telemetry) -> None:
    """`traceparent` out, on request only."""
    app = FastAPI()
    instrument(app, response_header=True)
    told = client(app).get("/").headers["traceparent"]
    context = telemetry.span("GET").context
    assert context is not None
    assert told.split("-")[1:3] == [f"{context.trace_id:032x}", f"{context.span_id:016x}"]


def test_without_being_asked_a_response_tells_nothing(app: FastAPI, telemetry: Telemetry) -> None:
    """Clients learn nothing of the telemetry by default."""
    assert "traceparent" not in client(app).get("/users/ann").headers


def test_a_websocket_is_one_server_span(telemetry: Telemetry) -> None:
    """From handshake to close, with its route's template, and no HTTP measurement."""
    app = FastAPI()

    @app.websocket("/chat/{room}")
    async def chat(room: str, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(room)
        await socket.close()

    instrument(app)
    with client(app).websocket_connect("/chat/7") as socket:
        assert socket.receive_text() == "7"
    (span,) = telemetry.spans()
    assert (span.name, span.kind) == ("WS /chat/{room}", SpanKind.SERVER)
    assert span.attributes is not None
    assert span.attributes["network.protocol.name"] == "websocket"
    assert DURATION not in telemetry.metrics()


def test_a_websocket_that_fails_is_an_error(telemetry: Telemetry) -> None:
    """The exception is on the span and goes on."""
    app = FastAPI()

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        raise KeyError("lost")

    def connect() -> None:
        with client(app).websocket_connect("/chat"):
            pass

    instrument(app)
    with pytest.raises(KeyError):
        connect()
    assert telemetry.span("WS /chat").status.status_code is StatusCode.ERROR


def test_baggage_comes_in_with_the_trace(telemetry: Telemetry) -> None:
    """W3C baggage, also over several headers, is there for the handler."""
    app = FastAPI()
    app.add_api_route("/", lambda: dict(baggage.get_all()))
    instrument(app)
    headers = [("baggage", "tenant=acme"), ("baggage", "plan=gold")]
    assert client(app).get("/", headers=headers).json() == {"tenant": "acme", "plan": "gold"}


def test_the_trace_goes_on_from_the_caller(app: FastAPI, telemetry: Telemetry) -> None:
    """W3C trace context in: same trace, the caller's span is the parent."""
    trace_id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    client(app).get("/users/ann", headers={"traceparent": f"00-{trace_id}-{parent}-01"})
    (span,) = telemetry.spans()
    assert span.context is not None
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}" == trace_id
    assert f"{span.parent.span_id:016x}" == parent


def test_excluded_urls_have_no_telemetry(monkeypatch: pytest.MonkeyPatch, telemetry: Telemetry) -> None:
    """OTEL_PYTHON_EXCLUDED_URLS is honoured."""
    monkeypatch.setenv("OTEL_PYTHON_EXCLUDED_URLS", "health,ready$")
    app = FastAPI()
    instrument(app)
    for path in ("/health/deep", "/ready", "/other"):
        client(app).get(path)
    assert [span.attributes["url.path"] for span in telemetry.spans() if span.attributes] == ["/other"]


def _with_stock_before(app: FastAPI) -> None:
    FastAPIInstrumentor.instrument_app(app)
    instrument(app)


def _with_stock_after(app: FastAPI) -> None:
    instrument(app)
    FastAPIInstrumentor.instrument_app(app)


def _mounted(app: FastAPI) -> None:
    sub = FastAPI()
    sub.add_api_route("/in", lambda: None)
    instrument(sub)
    app.mount("/sub", sub)
    instrument(app)


@pytest.mark.parametrize(
    ("arrange", "path"),
    [(instrument, "/in"), (_with_stock_before, "/in"), (_with_stock_after, "/in"), (_mounted, "/sub/in")],
)
@pytest.mark.parametrize("opt_in", ["", "http"])
def test_there_is_always_one_server_span_and_one_set_of_metrics(
    arrange: Callable[[FastAPI], Any], path: str, opt_in: str, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastAPI's own telemetry, the stock instrumentor before or after us, a mounted application that is ours too."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", opt_in)
    _stock_reads_its_opt_in_again()
    app = FastAPI()
    app.add_api_route("/in", lambda: None)
    arrange(app)
    assert client(app).get(path).status_code == 200
    servers = [span for span in telemetry.spans() if span.kind is SpanKind.SERVER]
    assert [span.attributes["http.route"] for span in servers if span.attributes] == [path]
    assert [point.count for point in telemetry.metrics()[DURATION]] == [1]


def _stock_reads_its_opt_in_again() -> None:
    from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability

    Stability._initialized = False


async def _hello(_: Request) -> Response:
    return PlainTextResponse("hello")


def _routed() -> FastAPI:
    app = FastAPI()
    inner, outer = APIRouter(prefix="/in/{x}"), APIRouter()
    inner.add_api_route("/c/{d}", lambda d: d)
    outer.add_api_route("/a/{b}", lambda b: b)
    outer.include_router(inner, prefix="/mid")
    app.include_router(outer, prefix="/api")
    sub = FastAPI()
    sub.add_api_route("/s/{q}", lambda q: q)
    app.mount("/sub/{tenant}", sub)
    app.router.routes.append(Route("/plain/{w}", _hello))
    return app


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/a/1", "/api/a/{b}"),
        ("/api/mid/in/7/c/9", "/api/mid/in/{x}/c/{d}"),
        ("/sub/acme/s/4", "/sub/{tenant}/s/{q}"),
        ("/sub/acme/nothing", "/sub/{tenant}/{path}"),
        ("/plain/3", "/plain/{w}"),
        ("/docs", "/docs"),
        ("/nothing", None),
    ],
)
def test_the_route_is_a_template_wherever_it_is_declared(path: str, route: str | None, telemetry: Telemetry) -> None:
    """Included routers, mounts with parameters, Starlette's plain routes."""
    app = _routed()
    instrument(app)
    client(app).get(path)
    (span,) = telemetry.spans()
    assert span.attributes is not None
    assert span.attributes.get("http.route") == route


def test_the_route_is_found_behind_a_middleware_that_copies_the_scope(telemetry: Telemetry) -> None:
    """What the router writes into a copy is not seen: the router is asked again."""
    app = _routed()

    class Copying:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(dict(scope), receive, send)

    app.add_middleware(Copying)
    app.add_middleware(BaseHTTPMiddleware, dispatch=lambda request, call_next: call_next(request))
    instrument(app)
    client(app).get("/api/mid/in/7/c/9")
    assert telemetry.spans()[-1].name == "GET /api/mid/in/{x}/c/{d}"


def test_instrumenting_after_the_first_request_takes_effect(telemetry: Telemetry) -> None:
    """The stack that is already built is wrapped too."""
    app = FastAPI()
    app.add_api_route("/in", lambda: None)
    assert client(app).get("/in").status_code == 200
    telemetry.metrics()
    instrument(app)
    assert client(app).get("/in").status_code == 200
    assert [point.count for point in telemetry.metrics()[DURATION]] == [1]


def test_a_middleware_added_later_is_inside_the_measurement(telemetry: Telemetry) -> None:
    """The order of `instrument` and `add_middleware` does not matter."""
    app = FastAPI()
    app.add_api_route("/in", lambda: None)
    instrument(app)

    async def slow(request: Request, call_next: Any) -> Any:
        await asyncio.sleep(0.05)
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=slow)
    client(app).get("/in")
    assert telemetry.metrics()[DURATION][0].value >= 0.05


def _scope(method: str, path: str) -> dict[str, Any]:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": [],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip


def _receiver(messages: list[dict[str, Any]]) -> Any:
    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    return receive


async def _ignore(message: Any) -> None:
    del message
