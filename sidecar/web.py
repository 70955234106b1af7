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


def metrics_app(
    bridge: Bridge,
    own: Callable[[], tuple[Family, ...]],
    ledger: Ledger,
    health: Health,
    page: Sequence[BaseRoute],
) -> Starlette:
    """The app; `own` gives the sidecar's own families and `page` further routes."""

    async def metrics(request: Request) -> Response:
        accept = ", ".join(request.headers.getlist("accept"))
        # The books are read here, on the thread that writes them; rendering and saving the state must not hold it up.
        exposition = await asyncio.to_thread(_expose, bridge, accept, _own(own))
        return Response(exposition.body, headers={"content-type": exposition.content_type, "vary": "accept"})

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


def _expose(bridge: Bridge, accept: str, own: tuple[Family, ...]) -> Exposition:
    try:
        return bridge.expose(accept, own=own)
    except Exception:
        # The service's figures matter more than ours: the scrape goes on without them, and the log says so.
        logger.exception("a scrape failed; it is tried again without the sidecar's own metrics")
        return bridge.expose(accept)
