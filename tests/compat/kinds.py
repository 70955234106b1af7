"""One application with a route of every kind, and what a request of each kind must leave behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles


@dataclass(frozen=True, slots=True)
class Kind:
    """One request and what is expected of it.

    Attributes:
        name: in results.
        method, path, host: the request; `WS` opens a websocket.
        status: of the answer, None for a websocket.
        route: `http.route` on span and metric.
        error: `error.type`.
    """

    name: str
    method: str
    path: str
    status: int | None
    route: str | None
    error: str | None = None
    host: str = "api.example"


KINDS = (
    Kind("plain", "GET", "/users/ann", 200, "/users/{name}"),
    Kind("head", "HEAD", "/starlette/1", 200, "/starlette/{item}"),
    Kind("router", "GET", "/api/a/1", 200, "/api/a/{b}"),
    Kind("router in router", "GET", "/api/mid/in/7/c/9", 200, "/api/mid/in/{x}/c/{d}"),
    Kind("sub-application", "GET", "/sub/acme/s/4", 200, "/sub/{tenant}/s/{q}"),
    Kind("nothing in the sub-application", "GET", "/sub/acme/nothing", 404, "/sub/{tenant}/{path}"),
    Kind("starlette route", "GET", "/starlette/1", 200, "/starlette/{item}"),
    Kind("starlette mount", "GET", "/mounted/inner/3", 200, "/mounted/inner/{z}"),
    Kind("static files", "GET", "/static/kinds.py", 200, "/static/{path}"),
    Kind("host", "GET", "/at/5", 200, "/at/{place}", host="other.example"),
    Kind("host with fastapi", "GET", "/s/5", 200, "/s/{q}", host="third.example"),
    Kind("nothing", "GET", "/nothing/here", 404, None),
    Kind("method not allowed", "POST", "/users/ann", 405, "/users/{name}"),
    Kind("invalid", "GET", "/number/x", 422, "/number/{n}"),
    Kind("http exception", "GET", "/teapot", 418, "/teapot"),
    Kind("exception", "GET", "/boom", 500, "/boom", "KeyError"),
    Kind("exception in the sub-application", "GET", "/sub/acme/boom", 500, "/sub/{tenant}/boom", "KeyError"),
    Kind("answer 503", "GET", "/unavailable", 503, "/unavailable", "503"),
    Kind("background", "GET", "/background", 200, "/background"),
    Kind("stream", "GET", "/stream", 200, "/stream"),
    Kind("in flight", "GET", "/in-flight", 200, "/in-flight"),
    Kind("dependency with yield", "GET", "/dependency", 200, "/dependency"),
    Kind("docs", "GET", "/docs", 200, "/docs"),
    Kind("redirected slash", "GET", "/slash", 307, None),
    Kind("websocket", "WS", "/chat/7", None, "/chat/{room}"),
)

# Called while a request is in flight.
DURING: list[Callable[[], object]] = []


def application(**options: Any) -> FastAPI:
    """The application, not instrumented by anybody."""
    app = FastAPI(**options)
    _add_plain(app)
    _add_answers(app)
    inner, outer = APIRouter(prefix="/in/{x}"), APIRouter()
    inner.add_api_route("/c/{d}", _ok)
    outer.add_api_route("/a/{b}", _ok)
    outer.include_router(inner, prefix="/mid")
    app.include_router(outer, prefix="/api")
    app.mount("/sub/{tenant}", _sub_application(**options))
    app.mount("/static", StaticFiles(directory=Path(__file__).parent))
    app.router.routes.append(Route("/starlette/{item}", _hello))
    app.router.routes.append(Mount("/mounted", routes=[Route("/inner/{z}", _hello)]))
    app.router.routes.insert(0, Host("other.example", Router([Route("/at/{place}", _hello)])))
    app.router.routes.insert(0, Host("third.example", _sub_application(**options)))
    return app


def _add_plain(app: FastAPI) -> None:
    app.add_api_route("/users/{name}", _ok)
    app.add_api_route("/number/{n}", _number)
    app.add_api_route("/slash/", _ok)
    app.add_api_route("/dependency", _dependent)

    @app.websocket("/chat/{room}")
    async def chat(room: str, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(room)
        await socket.close()


def _add_answers(app: FastAPI) -> None:
    app.add_api_route("/boom", _boom)

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    @app.get("/unavailable")
    async def unavailable() -> Response:
        return PlainTextResponse("later", 503)

    @app.get("/in-flight")
    async def in_flight() -> None:
        for look in DURING:
            look()

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> None:
        tasks.add_task(asyncio.sleep, 0.06)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(_chunks())


def _sub_application(**options: Any) -> FastAPI:
    sub = FastAPI(**options)
    sub.add_api_route("/s/{q}", _ok)
    sub.add_api_route("/boom", _boom)
    return sub


async def _ok() -> None:
    pass


async def _number(n: int) -> int:
    return n


async def _boom() -> None:
    raise KeyError("the cause")


async def _resource() -> AsyncIterator[int]:
    yield 1


async def _dependent(one: int = Depends(_resource)) -> int:
    return one


async def _hello(_: Request) -> Response:
    return PlainTextResponse("hello")


async def _chunks() -> AsyncIterator[bytes]:
    for _ in range(3):
        await asyncio.sleep(0.001)
        yield b"12345"
