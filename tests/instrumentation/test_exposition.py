"""A scrape of the service's own port is answered by the sidecar, or honestly."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from instrumentation import instrument
from instrumentation.exposition import Exposition, without_exponential
from tests.support.memory import Telemetry
from tests.support.processes import LOOPBACK, free_port


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as a sidecar would."""

    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("accept")))
        body = b"# EOF\n"
        self.send_response(200)
        self.send_header("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sidecar(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None]]]:
    Handler.seen.clear()
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("OTEL_SIDECAR_METRICS", f"{LOOPBACK}:{server.server_port}")
        yield Handler.seen
        server.shutdown()
        thread.join()


def test_a_scrape_is_passed_on_with_what_it_negotiates(
    sidecar: list[tuple[str, str | None]], telemetry: Telemetry
) -> None:
    """Accept and query in, content type out; the scrape itself leaves no telemetry."""
    app = FastAPI()
    instrument(app)
    reply = TestClient(app).get("/metrics?name[]=up", headers={"accept": "application/openmetrics-text"})
    assert (reply.status_code, reply.text) == (200, "# EOF\n")
    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert ("/metrics?name[]=up", "application/openmetrics-text") in sidecar
    assert TestClient(app).head("/metrics").content == b""
    assert telemetry.spans() == []


def test_a_route_of_the_services_own_at_that_path_is_left_alone(telemetry: Telemetry) -> None:
    """A service that already serves /metrics keeps it, and it is traced like any other route."""
    app = FastAPI()
    app.add_api_route("/metrics", lambda: "mine")
    instrument(app)
    assert TestClient(app).get("/metrics").json() == "mine"


def test_the_path_can_be_another_or_none() -> None:
    """`metrics_path=None` serves none."""
    app = FastAPI()
    instrument(app, metrics_path=None)
    assert TestClient(app).get("/metrics").status_code == 404


def test_metrics_that_are_not_ours_are_not_invented() -> None:
    """An application with a meter provider of its own, and no sidecar: said so."""
    answer = Exposition(f"{LOOPBACK}:{free_port()}", lambda: None).scrape({})
    assert answer.status == 503
    assert b"not exported by otel-sidecar" in answer.body


def test_a_route_that_refuses_to_be_asked_early_is_the_services_own(
    sidecar: list[tuple[str, str | None]], telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A route class that counts on a middleware's mark in the scope must not break the answer."""
    monkeypatch.delenv("PYTEST_VERSION")

    class Marked(Route):
        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            if "mark" not in scope:
                raise KeyError("mark")
            return super().matches(scope)

    class Marking:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app({**scope, "mark": True}, receive, send)

    app = FastAPI()
    app.router.routes.append(Marked("/metrics", lambda _: PlainTextResponse("mine")))
    app.add_middleware(Marking)
    instrument(app)
    assert TestClient(app).get("/metrics").text == "mine"
    assert sidecar == []


def test_exponential_histograms_never_reach_the_stock_exporter() -> None:
    """One of them crashes its whole scrape (opentelemetry-python PR #4178)."""
    view = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], views=[view], shutdown_on_exit=False)
    meter = provider.get_meter("test")
    meter.create_histogram("exponential").record(1.0)
    meter.create_histogram("explicit").record(1.0)
    data = reader.get_metrics_data()
    assert data is not None
    (resource,) = without_exponential(data).resource_metrics
    assert [metric.name for metric in resource.scope_metrics[0].metrics] == ["explicit"]
