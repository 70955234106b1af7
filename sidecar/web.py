"""The metrics address: /metrics for Prometheus, health for Kubernetes, the books for whoever asks, and the page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from sidecar.bridge import Bridge, Exposition
from sidecar.bridge.compress import Coding, compress, preferred
from sidecar.bridge.model import Family
from sidecar.ledger import Ledger

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Health:
    """What the health checks say; they are blind to targets, since restarting this process would not mend those.

    Attributes:
        version: of this program.
        contract: path of the contract; None without one.
        grpc: address of the OTLP/gRPC receiver; None when off.
        http: address of the OTLP/HTTP receiver; None when off.
        metrics: this address.
        draining: true from the signal to stop on.
    """

    version: str
    contract: str | None
    grpc: str | None
    http: str | None
    metrics: str
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a scraper asks for.

    Attributes:
        accept: formats and escaping of names.
        encoding: its Accept-Encoding.
        names: `name[]` of the query: these metrics only, each whole, by family or sample name.
    """

    accept: str
    encoding: str
    names: tuple[str, ...]


def metrics_app(
    bridge: Bridge,
    own: Callable[[], tuple[Family, ...]],
    ledger: Ledger,
    health: Health,
    page: Sequence[BaseRoute],
) -> Starlette:
    """The app; `own` gives the sidecar's own families and `page` further routes."""

    async def metrics(request: Request) -> Response:
        scrape = Scrape(
            accept=", ".join(request.headers.getlist("accept")),
            encoding=", ".join(request.headers.getlist("accept-encoding")),
            names=tuple(request.query_params.getlist("name[]")),
        )
        # The books are read here, on the thread that writes them; rendering and saving the state must not hold it up.
        return await asyncio.to_thread(_answer, bridge, scrape, _own(own))

    async def healthz(request: Request) -> Response:  # noqa: ARG001 - Starlette's shape
        status = "draining" if health.draining else "ok"
        return JSONResponse({"status": status, **asdict(health)})

    async def readyz(request: Request) -> Response:  # noqa: ARG001 - Starlette's shape
        if health.draining:
            return PlainTextResponse("draining\n", status_code=503)
        return PlainTextResponse("ready\n")

    async def books(request: Request) -> Response:  # noqa: ARG001 - Starlette's shape
        return JSONResponse(ledger_document(ledger))

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/ledger", books),
            *page,
        ]
    )


def ledger_document(ledger: Ledger) -> dict[str, object]:
    """The books as JSON."""
    snapshot = ledger.snapshot()
    return {
        "balanced": snapshot.balanced,
        "accounts": [
            {
                "signal": row.signal,
                "target": row.target,
                "received": row.received,
                "forwarded": row.forwarded,
                "queued": row.queued,
                "dropped": dict(row.dropped),
                "missing": row.missing,
            }
            for row in snapshot.rows
        ],
        "refused": [
            {"signal": row.signal, "reason": row.reason, "requests": row.requests, "items": row.items}
            for row in snapshot.refused
        ],
    }


def _own(families: Callable[[], tuple[Family, ...]]) -> tuple[Family, ...]:
    try:
        return families()
    except Exception:
        logger.exception("the sidecar's own metrics are missing from this scrape")
        return ()


def _answer(bridge: Bridge, scrape: Scrape, own: tuple[Family, ...]) -> Response:
    exposition = _expose(bridge, scrape, own)
    coding = preferred(scrape.encoding)
    headers = {"content-type": exposition.content_type, "vary": "accept, accept-encoding"}
    if coding is not Coding.IDENTITY:
        headers["content-encoding"] = coding
    return Response(compress(exposition.body, coding), headers=headers)


def _expose(bridge: Bridge, scrape: Scrape, own: tuple[Family, ...]) -> Exposition:
    try:
        return bridge.expose(scrape.accept, own, scrape.names)
    except Exception:
        # The service's figures matter more than ours: the scrape goes on without them, and the log says so.
        logger.exception("a scrape failed; it is tried again without the sidecar's own metrics")
        return bridge.expose(scrape.accept, names=scrape.names)
