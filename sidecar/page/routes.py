"""The page's addresses. Looking, decoding and rendering happen in threads, so that receiving goes on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from sidecar.bridge import Bridge
from sidecar.ledger import Ledger
from sidecar.page import drawings, formats
from sidecar.page.summary import Looker
from sidecar.recent import Pick, Recent

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE: Final = Path(__file__).parent
_ASSETS: Final = {"page.css": "text/css", "page.js": "text/javascript"}
#: Traces on the page; traces that the API gives when not told, and at most.
_PAGE_TRACES: Final = 15
_API_TRACES: Final = 50
_MAX_API_TRACES: Final = 500
#: Everything comes from this address; the page can't be framed, and nothing in it can send anything anywhere.
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def page_routes(bridge: Bridge, recent: Recent, ledger: Ledger, *, version: str = "") -> list[BaseRoute]:
    """`/`, `/traces/{id}`, their assets and the same as JSON under `/api`; `version` is the sidecar's own."""
    page = _Page(Looker(bridge, recent), recent, ledger, version)
    return [
        Route("/", page.page),
        Route("/traces/{trace_id}", page.trace_page),
        Route("/api/summary", page.summary),
        Route("/api/traces", page.traces),
        Route("/api/traces/{trace_id}", page.trace),
        *(Route(f"/{name}", _asset(name, kind)) for name, kind in _ASSETS.items()),
    ]


class _Page:
    """The endpoints."""

    def __init__(self, looker: Looker, recent: Recent, ledger: Ledger, version: str) -> None:
        self._looker, self._recent, self._ledger, self._version = looker, recent, ledger, version

    def _render(self, template: str, **values: object) -> str:
        return _templates(self._version).get_template(template).render(**values)

    async def page(self, request: Request) -> Response:
        pick = _pick(request)
        books = self._ledger.snapshot()

        def render() -> str:
            traces = self._recent.traces(_PAGE_TRACES, pick)
            return self._render("page.html", summary=self._looker.look(books), traces=traces, pick=pick)

        return _html(await asyncio.to_thread(render))

    async def trace_page(self, request: Request) -> Response:
        trace_id = request.path_params["trace_id"]

        def render() -> Response:
            if trace := self._recent.trace(trace_id):
                return _html(self._render("trace.html", trace=trace))
            return _html(self._render("missing.html", trace_id=trace_id), 404)

        return await asyncio.to_thread(render)

    async def summary(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's shape
        books = self._ledger.snapshot()

        def document() -> dict[str, Any]:
            found: dict[str, Any] = msgspec.to_builtins(self._looker.look(books), str_keys=True)
            found["recent"] |= {"server_spans": self._recent.server_spans(), "unreadable": self._recent.unreadable()}
            return found

        return _json(await asyncio.to_thread(document))

    async def traces(self, request: Request) -> Response:
        text = request.query_params.get("limit", str(_API_TRACES))
        if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) > _MAX_API_TRACES:
            return PlainTextResponse(f"limit={text!r}: a number from 0 to {_MAX_API_TRACES}\n", 400, _HEADERS)
        return _json({"traces": await asyncio.to_thread(self._recent.traces, int(text), _pick(request))})

    async def trace(self, request: Request) -> Response:
        trace = await asyncio.to_thread(self._recent.trace, request.path_params["trace_id"])
        return _json(trace) if trace else PlainTextResponse("no such trace in the ring\n", 404, _HEADERS)


@lru_cache(maxsize=1)
def _templates(version: str) -> Environment:
    """Made at the first look: a sidecar that nobody looks at does without Jinja2's memory.

    Every value is escaped: names of spans, routes and classes come from the network.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["sidecar_version"] = version
    environment.globals["waterfall"] = drawings.waterfall
    environment.globals["sparkline"] = drawings.sparkline
    for name in ("duration", "nanoseconds", "count", "rate", "percent", "size", "clock", "timestamp", "ago"):
        environment.filters[name] = getattr(formats, name)
    return environment


def _pick(request: Request) -> Pick:
    """Which traces: `?show=`; an unknown word is the default."""
    wanted = request.query_params.get("show", "")
    return Pick(wanted) if wanted in set(Pick) else Pick.NEWEST


def _html(text: str, status: int = 200) -> Response:
    return Response(text, status, {**_HEADERS, "content-type": "text/html; charset=utf-8"})


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), headers={**_HEADERS, "content-type": "application/json"})


def _asset(name: str, kind: str) -> Callable[[Request], Response]:
    body = (_HERE / "assets" / name).read_bytes()
    headers = {**_HEADERS, "content-type": f"{kind}; charset=utf-8", "cache-control": "no-cache"}

    def asset(request: Request) -> Response:  # noqa: ARG001 - Starlette's shape
        return Response(body, headers=headers)

    return asset
