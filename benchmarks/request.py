"""What one request costs with full telemetry: bare FastAPI, otel-sidecar and the stock set-up, in turn.

A request is an in-process ASGI call; the figure is CPU time of the whole process, the exporter's thread included, every
span sampled and sent to a real receiver. "Full" is the server span, `preprocess` and `inference`, HTTP metrics and the
prediction's metrics. Each variant runs in a process of its own, in alternating order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

VARIANTS = ("bare", "otel-sidecar", "stock")
Handler = Callable[[], Awaitable[dict[str, str]]]


def bare(app: Any) -> Handler:
    """No telemetry."""
    del app

    async def predict() -> dict[str, str]:
        return {"class": "cat"}

    return predict


def ours(app: Any) -> Handler:
    """`instrument(app)` and `Model`."""
    from instrumentation import Model, instrument

    instrument(app)
    model = Model("benchmark", version="1")

    async def predict() -> dict[str, str]:
        with model.predict() as p:
            with p.preprocess():
                pass
            with p.inference():
                pass
            p.result("cat", confidence=0.93)
        return {"class": "cat"}

    return predict


def stock(app: Any) -> Handler:
    """The SDK, its OTLP/HTTP exporters and FastAPIInstrumentor, with the same spans and metrics by hand."""
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=5000)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
    tracer, meter = trace.get_tracer("benchmark"), metrics.get_meter("benchmark")
    predictions, active = meter.create_counter("predictions"), meter.create_up_down_counter("active")
    confidence, latency = meter.create_histogram("confidence"), meter.create_histogram("latency", "s")
    stages = meter.create_histogram("stages", "s")
    attributes = {"model.name": "benchmark", "model.version": "1", "class": "cat"}

    async def predict() -> dict[str, str]:
        from time import perf_counter

        begun = perf_counter()
        active.add(1, {"model.name": "benchmark"})
        for stage in ("preprocess", "inference"):
            at = perf_counter()
            with tracer.start_as_current_span(stage):
                pass
            stages.record(perf_counter() - at, {"model.name": "benchmark", "stage": stage})
        active.add(-1, {"model.name": "benchmark"})
        predictions.add(1, attributes)
        confidence.record(0.93, attributes)
        latency.record(perf_counter() - begun, {"model.name": "benchmark"})
        return {"class": "cat"}

    return predict


async def drive(app: Any, requests: int) -> None:
    """Calls the application as a server would."""
    headers = [(b"host", b"localhost:8000"), (b"user-agent", b"benchmark"), (b"content-type", b"application/json")]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        del message

    for _ in range(requests):
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/predict",
            "raw_path": b"/predict", "query_string": b"", "root_path": "", "scheme": "http", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
        }  # fmt: skip
        await app(scope, receive, send)


def measure(variant: str, requests: int) -> None:
    """In a process of its own: prints CPU µs per request, exporting included."""
    from fastapi import FastAPI

    app = FastAPI()
    make = {"bare": bare, "otel-sidecar": ours, "stock": stock}[variant]
    app.add_api_route("/predict", make(app), methods=["POST"])

    async def run() -> float:
        await drive(app, 500)
        before = resource.getrusage(resource.RUSAGE_SELF)
        await drive(app, requests)
        flush()
        after = resource.getrusage(resource.RUSAGE_SELF)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    print(json.dumps({"us": asyncio.run(run()) * 1e6 / requests}))


def flush() -> None:
    """Sends what waits, so that every variant pays for all its spans."""
    from opentelemetry import metrics, trace

    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        if hasattr(provider, "force_flush"):
            provider.force_flush()


def compare(endpoint: str, rounds: int, requests: int) -> None:
    """Runs the variants in alternating order and prints medians, and ratios with their spread."""
    found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for turn in range(rounds):
        for variant in VARIANTS if turn % 2 == 0 else reversed(VARIANTS):
            env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SEMCONV_STABILITY_OPT_IN": "http"}
            command = [sys.executable, "-m", "benchmarks.request", "--measure", variant, "--requests", str(requests)]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            found[variant].append(json.loads(done.stdout.splitlines()[-1])["us"])
    print(f"CPU µs per request, exporter's thread included, {requests} requests, {rounds} rounds:")
    for variant, figures in found.items():
        over = [figure - base for figure, base in zip(figures, found["bare"], strict=True)]
        print(f"  {variant:13} {statistics.median(figures):7.1f}   over bare {statistics.median(over):7.1f}")
    gains = [
        (stock - base) / (own - base)
        for stock, own, base in zip(found["stock"], found["otel-sidecar"], found["bare"], strict=True)
    ]
    print(f"  stock / otel-sidecar, over bare: {statistics.median(gains):.2f} ({min(gains):.2f} to {max(gains):.2f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", choices=VARIANTS)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--endpoint", default="http://127.0.0.1:4318")
    flags = parser.parse_args()
    if flags.measure:
        measure(flags.measure, flags.requests)
    else:
        compare(flags.endpoint, flags.rounds, flags.requests)
