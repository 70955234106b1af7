"""The page and its JSON, over the real bridge, ring and ledger, fed by the real SDK's encoders."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette

from sidecar import semconv
from sidecar.batch import Signal
from sidecar.bridge import Bridge, BridgeSettings
from sidecar.ledger import Ledger
from sidecar.page import page_routes
from sidecar.recent import Recent
from tests.sidecar.page.pods import MODEL, Worker
from tests.support.spans import MS, T0, batch, span

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Pod:
    """A sidecar's rooms as the page sees them, and a way to ask the page."""

    def __init__(self) -> None:
        self.bridge, self.recent, self.ledger = Bridge(BridgeSettings()), Recent(1 << 20), Ledger()
        self.ledger.open(Signal.TRACES, "recent")
        self.ledger.open(Signal.METRICS, "bridge")
        self._app = Starlette(routes=page_routes(self.bridge, self.recent, self.ledger, version="9.9"))

    def export(self, worker: Worker) -> None:
        batch = worker.export(time.time_ns())
        self.bridge.offer(batch)
        self.ledger.received(Signal.METRICS, 1)
        self.ledger.forwarded(Signal.METRICS, "bridge", 1)

    def get(self, target: str) -> Reply:
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "headers": [],
            "root_path": "",
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self._app({**scope, "query_string": query.encode()}, receive, send))
        headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def busy() -> Pod:
    """Two workers with traffic, and three traces of which one failed."""
    pod = Pod()
    for instance in "ab":
        worker = Worker(instance)
        worker.set(semconv.ML_MODEL_LOADED, 1, **dict(MODEL))
        worker.set(semconv.ML_MODEL_INFO, 1, **dict(MODEL), api_version="2.1")
        for number in range(50):
            worker.request(0.02)
            worker.predict("cat" if number % 5 else "dog", 0.93)
        worker.request(0.003, status="415")
        worker.add(semconv.ML_PREDICTION_ERRORS, 1, **dict(MODEL), **{"error.type": "Odd", "ml.stage": "preprocess"})
        pod.export(worker)
    for trace in (1, 2, 3):
        failed = "no picture" if trace == 2 else None
        pod.recent.offer(
            batch(
                span(1, trace=trace, name="POST /predict", kind=Span.SPAN_KIND_SERVER, start_ms=trace * 100, ms=30),
                span(2, 1, trace=trace, name="preprocess", start_ms=trace * 100 + 1, ms=20, error=failed),
                span(3, 1, trace=trace, name="inference", start_ms=trace * 100 + 21, ms=8),
                service="catvsdog-api",
            )
        )
    return pod


@pytest.fixture(scope="module")
def pod() -> Pod:
    return busy()


class Reader(HTMLParser):
    """What a browser would see: tags, and text outside of attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.text = re.sub(r"\s+", " ", reader.text)
    return reader


def test_the_page_shows_the_pod(pod: Pod) -> None:
    """Service, totals of both workers, quantiles, stages, classes, confidence, traces and ledger are all there."""
    reply = pod.get("/")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    text = seen(reply.text).text
    for words in (
        "catvsdog-api 2.1",
        "2 workers",
        "102 in all",
        "catvsdog 1.4.0",
        "loaded",
        "api_version 2.1",
        "POST /predict",
        "preprocess",
        "inference",
        "Odd",
        "Recent traces",
        "received = forwarded + queued + dropped",
    ):
        assert words in text


def test_the_summary_has_the_same_numbers(pod: Pod) -> None:
    """The JSON is the page's data: what is counted is the sum over the workers."""
    summary = pod.get("/api/summary").json
    figures = summary["figures"]
    assert summary["service"] == "catvsdog-api"
    assert figures["requests"]["total"] == 102
    assert figures["requests"]["client_errors_total"] == 2
    (endpoint,) = figures["endpoints"]
    assert (endpoint["method"], endpoint["route"], endpoint["traffic"]["total"]) == ("POST", "/predict", 102)
    (model,) = figures["models"]
    assert {row["label"]: row["total"] for row in model["classes"]} == {"cat": 80, "dog": 20}
    assert [stage["name"] for stage in model["stages"]] == ["preprocess", "inference"]
    assert model["stages"][0]["share"] == pytest.approx(0.75)
    assert model["loaded"] is True
    assert 0.01 < figures["requests"]["latency"]["p95"] <= 0.025
    assert (summary["recent"]["server_spans"], summary["recent"]["unreadable"]) == (3, 0)
    assert summary["bridge"]["workers"] == 2
    assert [row["signal"] for row in summary["ledger"]["rows"]] == ["traces", "metrics"]


def test_traces_are_waterfalls_in_the_wished_order(pod: Pod) -> None:
    """Newest first, or the slowest, or only those that failed; an unknown wish is the newest."""

    def ids(target: str) -> list[int]:
        return [int(trace["trace_id"], 16) for trace in pod.get(target).json["traces"]]

    assert ids("/api/traces") == ids("/api/traces?show=nonsense") == [3, 2, 1]
    assert ids("/api/traces?show=errors") == [2]
    assert ids("/api/traces?limit=1") == [3]
    assert ids("/api/traces?limit=0") == []
    trace = pod.get("/api/traces?show=errors").json["traces"][0]
    assert (trace["service"], trace["name"], trace["start_ns"], trace["duration_ns"]) == (
        "catvsdog-api",
        "POST /predict",
        T0 + 200 * MS,
        30 * MS,
    )
    assert [(one["name"], one["depth"], one["status"]) for one in trace["spans"]] == [
        ("POST /predict", 0, "unset"),
        ("preprocess", 1, "error"),
        ("inference", 1, "unset"),
    ]


@pytest.mark.parametrize("wrong", ["-1", "501", "x", "1e2", "9" * 5000, "\N{SUPERSCRIPT TWO}"])
def test_a_limit_that_is_none_is_refused_in_words(pod: Pod, wrong: str) -> None:
    reply = pod.get(f"/api/traces?limit={wrong}")
    assert reply.status == 400
    assert reply.text.endswith(": a number from 0 to 500\n")


def test_one_trace_has_its_own_page(pod: Pod) -> None:
    """Every span can be opened to its attributes; a trace that is not held says so with 404."""
    trace_id = (2).to_bytes(16, "big").hex()
    page = pod.get(f"/traces/{trace_id}")
    assert page.status == 200
    assert "no picture" in seen(page.text).text
    assert pod.get(f"/api/traces/{trace_id}").json["trace_id"] == trace_id
    assert pod.get("/traces/" + "0" * 32).status == 404
    assert pod.get("/api/traces/nonsense").status == 404


@pytest.mark.parametrize("target", ["/", "/?show=errors", "/traces/" + (7).to_bytes(16, "big").hex()])
def test_nothing_from_the_network_becomes_markup(target: str) -> None:
    """Names, attributes, routes, classes, services: shown as text wherever they appear, never as a tag or attribute."""
    pod, worker = Pod(), Worker("a", service=EVIL)
    worker.request(0.01, route=EVIL, method=EVIL, status=EVIL)
    model = {"ml.model.name": EVIL, "ml.model.version": EVIL}
    worker.add(semconv.ML_PREDICTIONS, 1, **model, **{"ml.prediction.class": EVIL, "ml.prediction.outcome": "success"})
    worker.add(semconv.ML_PREDICTION_ERRORS, 1, **model, **{"error.type": EVIL, "ml.stage": EVIL})
    worker.record(semconv.ML_STAGE_DURATION, 0.1, **model, **{"ml.stage": EVIL})
    worker.set(semconv.ML_MODEL_INFO, 1, **model, **{EVIL: EVIL})
    worker.set(semconv.ML_MODEL_LOADED, 0, **model)
    pod.export(worker)
    one = span(1, 9, trace=7, name=EVIL, error=EVIL, attributes={EVIL: AnyValue(string_value=EVIL)})
    one.events.add(name=EVIL, time_unix_nano=T0)
    pod.recent.offer(batch(one, service=EVIL))
    pod.ledger.open(Signal.LOGS, EVIL)
    pod.ledger.refused(Signal.LOGS, EVIL)
    page = seen(pod.get(target).text)
    assert "alert(1)" in page.text
    assert [attributes.get("src") for tag, attributes in page.tags if tag == "script"] in ([], ["/page.js"])
    assert not any(tag == "img" for tag, _ in page.tags)
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.tags for name in attributes)


def test_a_missing_traces_name_is_escaped(pod: Pod) -> None:
    """The id in the address is the visitor's own text."""
    page = seen(pod.get("/traces/<script>alert(1)<script>").text)
    assert not any(tag == "script" for tag, _ in page.tags)
    assert "<script>alert(1)" in page.text


@pytest.mark.parametrize(
    "target", ["/", "/traces/x", "/api/summary", "/api/traces", "/api/traces/x", "/page.css", "/page.js"]
)
def test_everything_is_behind_the_same_policy(pod: Pod, target: str) -> None:
    """Content comes from this address alone, in its declared type, and can't be framed."""
    headers = pod.get(target).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_the_page_needs_nothing_from_outside(pod: Pod) -> None:
    """No address of another host, no inline script or style that the policy would stop."""
    page = seen(pod.get("/").text)
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert all(link and (link.startswith("/") or link == "data:,") for link in links)
    assert "http" not in pod.get("/page.css").text
    assert not any(tag == "style" for tag, _ in page.tags)


def test_the_page_refreshes_itself(pod: Pod) -> None:
    """By script where there is one, by the browser's own refresh where not."""
    page = seen(pod.get("/").text)
    assert ("script", {"src": "/page.js", "defer": None}) in page.tags
    assert any(tag == "meta" and attributes.get("http-equiv") == "refresh" for tag, attributes in page.tags)
    script = pod.get("/page.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert 'getElementById("live")' in script.text
    assert any(attributes.get("id") == "live" for _, attributes in page.tags)


def test_an_empty_sidecar_has_a_page() -> None:
    """Before the first export the page says that it waits, and breaks nowhere."""
    pod = Pod()
    assert "waiting for a service" in seen(pod.get("/").text).text
    assert pod.get("/api/summary").json["figures"]["requests"]["total"] == 0
    assert pod.get("/?show=errors").status == 200


def test_a_page_stays_small(pod: Pod) -> None:
    """Long traces are cut on the front page, whole on their own."""
    big = Pod()
    for trace in range(1, 60):
        big.recent.offer(batch(*(span(i, 1 if i > 1 else 0, trace=trace, start_ms=i) for i in range(1, 60))))
    assert len(big.get("/").body) < 250_000
    assert "47 more spans" in big.get("/").text
    assert len(pod.get("/").body) < 60_000
