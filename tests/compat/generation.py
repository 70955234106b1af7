"""Run inside an environment: every kind of request under every arrangement of instrumentations, results as JSON.

Other versions of FastAPI, another HTTP owner, no pytest: this knows the product, an ASGI client and nothing else.
The first argument chooses who has already been at work in this process: nobody, `opentelemetry-instrument`, or the
hook of `otel-sidecar run`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import fastapi
import starlette
from opentelemetry import metrics, trace
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.middleware.base import BaseHTTPMiddleware

from instrumentation import instrument
from tests.compat.asgi import lifespan, request
from tests.compat.kinds import DURING, KINDS, Kind, application

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
SHORT = (
    "plain",
    "router in router",
    "sub-application",
    "exception",
    "background",
    "stream",
    "nothing",
    "in flight",
    "websocket",
)
Arrangement = Callable[[fastapi.FastAPI], Any]


class Seen:
    """The process's telemetry, emptied at each look.

    A process that somebody else has set up keeps its providers; this one looks at them as well.
    """

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        # Deltas: each look shows what came since the last.
        self._reader = InMemoryMetricReader({Histogram: AggregationTemporality.DELTA})
        tracer = trace.get_tracer_provider()
        if not isinstance(tracer, TracerProvider):
            tracer = TracerProvider(shutdown_on_exit=False)
            trace.set_tracer_provider(tracer)
        tracer.add_span_processor(SimpleSpanProcessor(self._spans))
        meter = metrics.get_meter_provider()
        if isinstance(meter, MeterProvider):
            meter.add_metric_reader(self._reader)
        else:
            metrics.set_meter_provider(MeterProvider([self._reader], shutdown_on_exit=False))
        self.during: dict[str, float] = {}
        DURING.append(self.look_during)

    def look(self) -> dict[str, Any]:
        """What one request left behind; counts by metric and by who measured it."""
        spans = self._spans.get_finished_spans()
        self._spans.clear()
        servers = [
            [span.name, *((span.attributes or {}).get(key) for key in ("http.route", "http.response.status_code"))]
            for span in spans
            if span.kind is SpanKind.SERVER
        ]
        durations: list[list[Any]] = []
        sets: dict[str, dict[str, int]] = {}
        active: dict[str, float] = {}
        for who, metric, point in self._points():
            if metric == "http.server.active_requests":
                active[who] = active.get(who, 0) + point.value
                continue
            by = sets.setdefault(metric, {})
            by[who] = by.get(who, 0) + point.count
            if metric == "http.server.request.duration":
                durations.append([point.attributes.get("http.route"), point.attributes.get("error.type"), point.count])
        traces = len({span.context.trace_id for span in spans})
        during, self.during = self.during, {}
        return {
            "servers": servers, "traces": traces, "durations": durations, "sets": sets, "during": during,
            "active": {who: value for who, value in active.items() if value},
        }  # fmt: skip

    def look_during(self) -> None:
        """Notes what is in flight now, by who counts it."""
        self.during = {}
        for who, metric, point in self._points():
            if metric == "http.server.active_requests" and point.value:
                self.during[who] = self.during.get(who, 0) + point.value

    def _points(self) -> Iterator[tuple[str, str, Any]]:
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name.startswith("http."):
                        yield from ((scope.scope.name, metric.name, point) for point in metric.data.data_points)


def stock_before(app: fastapi.FastAPI) -> None:
    FastAPIInstrumentor.instrument_app(app)
    instrument(app)


def stock_after(app: fastapi.FastAPI) -> None:
    instrument(app)
    FastAPIInstrumentor.instrument_app(app)


def stock_too_late(app: fastapi.FastAPI) -> None:
    instrument(app)
    request(app, "GET", "/nothing")
    FastAPIInstrumentor.instrument_app(app)


def stock_around(app: fastapi.FastAPI) -> Any:
    """As in `uvicorn module:asgi` with `asgi = OpenTelemetryMiddleware(app)`."""
    instrument(app)
    return OpenTelemetryMiddleware(app)


def stock_as_middleware(app: fastapi.FastAPI) -> None:
    app.add_middleware(OpenTelemetryMiddleware)
    instrument(app)


def twice(app: fastapi.FastAPI) -> None:
    instrument(app)
    instrument(app)


def late(app: fastapi.FastAPI) -> None:
    request(app, "GET", "/nothing")
    instrument(app)


def after_lifespan(app: fastapi.FastAPI) -> None:
    instrument(app)
    assert lifespan(app) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def subs_too(app: fastapi.FastAPI) -> None:
    for route in app.routes:
        if isinstance(sub := getattr(route, "app", None), fastapi.FastAPI):
            instrument(sub)
    instrument(app)


def middleware_around(app: fastapi.FastAPI) -> None:
    """Middleware added later, and one that hands on a copy of the scope."""

    class Copying:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(dict(scope), receive, send)

    async def passing(asked: Any, call_next: Any) -> Any:
        return await call_next(asked)

    instrument(app)
    app.add_middleware(Copying)
    app.add_middleware(BaseHTTPMiddleware, dispatch=passing)


def nobody(_: fastapi.FastAPI) -> None:
    """The service does nothing: who was at work before it has done everything."""


ARRANGEMENTS: dict[str, dict[str, Arrangement]] = {
    "alone": {
        "ours": instrument, "twice": twice, "late": late, "after lifespan": after_lifespan, "subs too": subs_too,
        "middleware around": middleware_around, "stock before": stock_before, "stock after": stock_after,
        "stock too late": stock_too_late, "stock around": stock_around, "stock as middleware": stock_as_middleware,
    },
    "opentelemetry-instrument": {"stock by itself": instrument, "stock by itself, late": late},
    "otel-sidecar run": {"ours": nobody, "twice": instrument, "stock by itself": FastAPIInstrumentor.instrument_app},
}  # fmt: skip
# Where the stock instrumentation is at work as well, whose names it writes is another difference.
STOCK = frozenset(name for mode in ARRANGEMENTS.values() for name in mode if name.startswith("stock"))
DUPLICATED = frozenset(("stock before",))


def run(mode: str) -> dict[str, Any]:
    """All arrangements of this process; `{arrangement: {kind: what it left behind}}`."""
    results: dict[str, Any] = {}
    seen = Seen()
    for name, arrange in ARRANGEMENTS[mode].items():
        for opt_in in ("", "http", "http/dup") if name in DUPLICATED else ("", "http") if name in STOCK else ("",):
            os.environ[OPT_IN] = opt_in
            Stability._initialized = False
            app = application()
            asked = arrange(app)
            asked = asked if callable(asked) else app
            seen.look()
            kinds = [kind for kind in KINDS if (name == "ours" and not opt_in) or kind.name in SHORT]
            results[f"{name} {opt_in}".strip()] = {kind.name: _one(asked, kind, seen) for kind in kinds}
    return results


def _one(app: Any, kind: Kind, seen: Seen) -> dict[str, Any]:
    status = request(app, kind.method, kind.path, host=kind.host)
    return {"status": status, **seen.look()}


if __name__ == "__main__":
    os.environ["OTEL_SIDECAR_METRICS"] = "127.0.0.1:9"
    found = {"fastapi": fastapi.__version__, "starlette": starlette.__version__, "results": run(sys.argv[1])}
    sys.stdout.write(json.dumps(found))
