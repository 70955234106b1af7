"""Answers /metrics on the service's own port with the whole pod's metrics: old scrape configurations become right.

Any worker passes the sidecar's merged exposition on. Without a sidecar one process can speak for itself
(opentelemetry-exporter-prometheus does that); several cannot, and say so rather than report one worker as the pod.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Final

from opentelemetry.sdk.metrics.export import ExponentialHistogram, MetricsData

from instrumentation.guard import guard, logger
from instrumentation.reader import IntervalReader
from instrumentation.siblings import several_processes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_TIMEOUT_S: Final = 5.0
_MAX_BYTES: Final = 256 * 1024 * 1024
# What a scraper negotiates with; the sidecar decides.
_PASSED_IN: Final = (b"accept", b"accept-encoding", b"x-prometheus-scrape-timeout-seconds")
_PASSED_OUT: Final = ("content-type", "content-encoding", "vary")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer to a scrape."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Exposition:
    """Answers scrapes of this service.

    Args:
        sidecar: `host:port` of the sidecar's metrics.
        reader: gives the metrics of this process when it is alone; None when they are not ours.
        cumulative: whether that reader's totals are cumulative; deltas cannot be looked at.
    """

    def __init__(self, sidecar: str, reader: Callable[[], IntervalReader | None], *, cumulative: bool = True) -> None:
        host, _, port = sidecar.rpartition(":")
        self._host = host.strip("[]")
        self._port = int(port)
        self._sidecar = sidecar
        self._reader = reader
        self._cumulative = cumulative

    async def answer(self, scope: Scope, send: Send) -> None:
        """Answers one GET or HEAD, without holding up the event loop."""
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _PASSED_IN}
        query = scope.get("query_string", b"").decode("latin-1")
        answer = await asyncio.to_thread(self.scrape, headers, query)
        body = b"" if scope["method"] == "HEAD" else answer.body
        raw = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers]
        raw.append((b"content-length", str(len(answer.body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    def scrape(self, headers: Mapping[str, str], query: str = "") -> Answer:
        """The sidecar's answer, else this process's own, else why there is none. Blocks for up to 5 s."""
        try:
            return self._from_sidecar(headers, query)
        except (OSError, http.client.HTTPException) as error:
            return self._alone(error)

    def _from_sidecar(self, headers: Mapping[str, str], query: str) -> Answer:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", f"/metrics?{query}" if query else "/metrics", headers=dict(headers))
            reply = connection.getresponse()
            body = reply.read(_MAX_BYTES)
            passed = ((name, reply.getheader(name)) for name in _PASSED_OUT)
            return Answer(reply.status, tuple((name, value) for name, value in passed if value), body)
        finally:
            connection.close()

    def _alone(self, error: Exception) -> Answer:
        missing = f"no sidecar answers on {self._sidecar} ({error})"
        if several_processes(os.environ, sys.argv):
            return _sentence(
                f"{missing}, and this service runs several worker processes: one worker's numbers are not the "
                "service's. Start it with `otel-sidecar run -- ...`, or point OTEL_SIDECAR_METRICS at the sidecar."
            )
        reader = self._reader()
        if reader is None:
            return _sentence(f"{missing}, and the metrics of this process are not exported by otel-sidecar.")
        if not self._cumulative:
            return _sentence(f"{missing}, and delta temporality cannot be scraped.")
        return _one_process(reader.snapshot())


class ExpositionMiddleware:
    """Answers scrapes before anything of the application does.

    Args:
        app: what answers everything else.
        path: where scrapes come.
        exposition: what answers them.
        own: whether the application itself has a route at that path, which then wins.
    """

    def __init__(self, app: App, path: str, exposition: Exposition, own: Callable[[Scope], bool]) -> None:
        # Named as Starlette names it: others find the application behind us by walking `.app`.
        self.app = app
        self._path = path
        self._exposition = exposition
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI scope."""
        asked = scope["type"] == "http" and scope["path"] == self._path and scope["method"] in ("GET", "HEAD")
        if asked and not self._is_own(scope):
            await self._exposition.answer(scope, send)
        else:
            await self.app(scope, receive, send)

    def _is_own(self, scope: Scope) -> bool:
        with guard:
            return self._own(scope)
        # A route of the service's own class may refuse to be asked here, before the middleware it counts on.
        return True


def _sentence(text: str) -> Answer:
    logger.warning("/metrics: %s", text)
    return Answer(503, (("content-type", "text/plain; charset=utf-8"),), f"otel-sidecar: {text}\n".encode())


def _one_process(data: MetricsData | None) -> Answer:
    """Rendered by the stock exporter, whose reader never sees an exponential histogram: one crashes it (PR #4178)."""
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry)
    if data is not None:
        given = without_exponential(data)
        # What a MeterProvider does to its readers; here the metrics are collected already.
        reader._set_collect_callback(lambda *_, **__: given)  # noqa: SLF001
    return Answer(200, (("content-type", CONTENT_TYPE_LATEST),), generate_latest(registry))


def without_exponential(data: MetricsData) -> MetricsData:
    """The same metrics but for exponential histograms."""
    resources = []
    for resource in data.resource_metrics:
        scopes = [
            replace(scope, metrics=[m for m in scope.metrics if not isinstance(m.data, ExponentialHistogram)])
            for scope in resource.scope_metrics
        ]
        resources.append(replace(resource, scope_metrics=scopes))
    return replace(data, resource_metrics=resources)
