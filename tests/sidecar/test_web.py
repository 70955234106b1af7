"""The metrics address: a scrape survives a broken part, health is blind to targets, the books are readable."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpcore
import pytest
import zstandard
from prometheus_client.parser import text_string_to_metric_families

from sidecar.batch import Signal
from sidecar.bridge import Bridge, BridgeSettings
from sidecar.bridge.model import Family, Kind, Series
from sidecar.http_server import HttpServer
from sidecar.ledger import Dropped, Ledger, Refused
from sidecar.listen import listen
from sidecar.relay.queue import Queue
from sidecar.selfmetrics import SelfMetrics, resident_bytes
from sidecar.values import Address
from sidecar.web import Health, metrics_app
from tests.support.processes import LOOPBACK

Own = Callable[[], tuple[Family, ...]]
HEALTH = Health("1.2.3", "/c.yaml", None, "127.0.0.1:4318", "127.0.0.1:9464")


def books() -> Ledger:
    ledger = Ledger()
    ledger.open(Signal.TRACES, "http://t", lambda: 2)
    ledger.received(Signal.TRACES, 10)
    ledger.forwarded(Signal.TRACES, "http://t", 5)
    ledger.dropped(Signal.TRACES, "http://t", Dropped.EXPIRED, 3)
    ledger.refused(Signal.LOGS, Refused.TOO_LARGE)
    return ledger


def own(ledger: Ledger) -> SelfMetrics:
    return SelfMetrics(ledger, version="1.2.3", start_ns=5, queues={"http://t": Queue(1000)}, recent_bytes=lambda: 7)


def ask(
    paths: list[str],
    families: Own,
    health: Health = HEALTH,
    method: str = "GET",
    headers: Mapping[bytes | str, bytes | str] | None = None,
) -> list[Any]:
    """Serves the app for real and asks it."""

    async def go() -> list[Any]:
        app = metrics_app(Bridge(BridgeSettings()), families, books(), health, [])
        sockets = listen("metrics", Address(LOOPBACK, 0))
        port = sockets[0].getsockname()[1]
        server = HttpServer(app, sockets)
        await server.start()
        async with httpcore.AsyncConnectionPool() as pool:
            replies = [await pool.request(method, f"http://{LOOPBACK}:{port}{path}", headers=headers) for path in paths]
        await server.stop()
        return replies

    return asyncio.run(go())


def test_a_scrape_has_the_sidecar_s_own_figures() -> None:
    (reply,) = ask(["/metrics"], own(books()).families)
    assert reply.status == 200
    samples = {
        (sample.name, *(value for key, value in sorted(sample.labels.items()) if not key.startswith("otel_scope"))): (
            sample.value
        )
        for family in text_string_to_metric_families(reply.content.decode())
        for sample in family.samples
    }
    assert samples["otel_sidecar_received_total", "traces"] == 10
    assert samples["otel_sidecar_forwarded_total", "traces", "http://t"] == 5
    assert samples["otel_sidecar_queued", "traces", "http://t"] == 2
    assert samples["otel_sidecar_dropped_total", "expired", "traces", "http://t"] == 3
    assert samples["otel_sidecar_dropped_total", "shutdown", "traces", "http://t"] == 0
    assert samples["otel_sidecar_refused_requests_total", "too_large", "logs"] == 1
    assert samples["otel_sidecar_queue_limit_bytes", "http://t"] == 1000
    assert samples["otel_sidecar_recent_size_bytes",] == 7
    assert samples["otel_sidecar_memory_resident_bytes",] == pytest.approx(resident_bytes(), rel=0.5)


def _broken() -> tuple[Family, ...]:
    raise RuntimeError("bug")


def _wrong() -> tuple[Family, ...]:
    return (Family("x", Kind.HISTOGRAM, series=(Series((), 1),)),)


@pytest.mark.parametrize("families", [_broken, _wrong])
def test_a_scrape_goes_on_without_a_broken_part(families: Own) -> None:
    (reply,) = ask(["/metrics"], families)
    assert reply.status == 200
    assert dict(reply.headers)[b"content-type"].startswith(b"text/plain")


def test_health_and_books() -> None:
    health, ready, ledger = ask(["/healthz", "/readyz", "/ledger"], tuple)
    assert json.loads(health.content) == {
        "status": "ok",
        "version": "1.2.3",
        "contract": "/c.yaml",
        "grpc": None,
        "http": "127.0.0.1:4318",
        "metrics": "127.0.0.1:9464",
        "draining": False,
    }
    assert (ready.status, ready.content) == (200, b"ready\n")
    assert json.loads(ledger.content) == {
        "balanced": True,
        "accounts": [
            {
                "signal": "traces",
                "target": "http://t",
                "received": 10,
                "forwarded": 5,
                "queued": 2,
                "dropped": {"expired": 3},
                "missing": 0,
            }
        ],
        "refused": [{"signal": "logs", "reason": "too_large", "requests": 1, "items": 0}],
    }


def test_while_draining_it_is_alive_but_not_ready() -> None:
    draining = Health("1.2.3", None, None, None, "m", draining=True)
    health, ready = ask(["/healthz", "/readyz"], tuple, draining)
    assert (health.status, json.loads(health.content)["status"], ready.status) == (200, "draining", 503)


def test_head_is_answered() -> None:
    """Load balancers probe with it."""
    replies = ask(["/metrics", "/healthz", "/readyz"], tuple, method="HEAD")
    assert [(reply.status, reply.content) for reply in replies] == [(200, b"")] * 3


def test_a_scrape_is_as_small_as_the_scraper_can_read_it() -> None:
    """Same content, fewer bytes; caches are told what it depends on."""
    bodies = {}
    for coding, read in (("identity", bytes), ("gzip", gzip.decompress), ("zstd", zstandard.decompress)):
        (reply,) = ask(["/metrics?name[]=own"], _own_gauge, headers={"accept-encoding": coding})
        found = {name.decode(): value.decode() for name, value in reply.headers}
        assert found.get("content-encoding", "identity") == coding
        assert found["vary"] == "accept, accept-encoding"
        bodies[coding] = read(reply.content)
    assert set(bodies.values()) == {b"# HELP own Ours.\n# TYPE own gauge\nown 1\n"}


def test_head_tells_what_get_would_bring() -> None:
    headers: dict[bytes | str, bytes | str] = {"accept-encoding": "gzip", "accept": "application/openmetrics-text"}
    get, head = (
        ask(["/metrics?name[]=own"], _own_gauge, method=method, headers=headers)[0] for method in ("GET", "HEAD")
    )
    assert head.content == b""
    assert gzip.decompress(get.content) == b"# TYPE own gauge\n# HELP own Ours.\nown 1\n# EOF\n"
    without_date = [[(k, v) for k, v in reply.headers if k.lower() != b"date"] for reply in (get, head)]
    assert without_date[0] == without_date[1]


def test_name_chooses_metrics_in_every_format() -> None:
    path = "/metrics?name[]=own&name%5B%5D=otel_sidecar_bridge_streams"
    (reply,) = ask([path], _own_gauge)
    assert [line for line in reply.content.decode().splitlines() if line.startswith("# TYPE")] == [
        "# TYPE otel_sidecar_bridge_streams gauge",
        "# TYPE own gauge",
    ]


def _own_gauge() -> tuple[Family, ...]:
    return (Family("own", Kind.GAUGE, description="Ours.", series=(Series((), 1),)),)
