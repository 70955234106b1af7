"""What `instrument()` is asked for beside traces and metrics it does once the service is there, and not before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sidecar.batch import Signal
from tests.support.otlp_requests import REQUESTS
from tests.support.otlp_sink import Sink, http_sink
from tests.support.processes import LOOPBACK, clean_env

pytestmark = pytest.mark.integration

SERVICE = """
import logging, time
from fastapi import FastAPI
from starlette.testclient import TestClient
from instrumentation import instrument

app = FastAPI(title="shop")
instrument(app, slow={"/slow": 0.01}, logs=True)
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(otelServiceName)s %(otelTraceID)s %(message)s")
logger = logging.getLogger("shop")

@app.get("/fast")
async def fast():
    logger.info("fast")

@app.get("/slow")
async def slow():
    time.sleep(1.0)
    logger.info("slow")

with TestClient(app) as client:
    client.get("/fast")
    client.get("/slow")
"""


def run(sink: Sink, folder: Path, **environ: str) -> str:
    (folder / "service.py").write_text(SERVICE)
    variables = {
        **clean_env(),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{sink.port}",
        "OTEL_SIDECAR_KEEP_RATIO": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
        **environ,
    }
    command = [sys.executable, str(folder / "service.py")]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stderr


def points(sink: Sink) -> dict[str, list[Any]]:
    """All points of all exports."""
    found: dict[str, list[Any]] = {}
    for signal, body, _ in sink.requests:
        if signal is Signal.METRICS:
            for resource in REQUESTS[signal].FromString(body).resource_metrics:
                for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                    data = getattr(metric, metric.WhichOneof("data"))
                    found.setdefault(metric.name, []).extend(data.data_points)
    return found


def test_a_service_tells_its_trace_in_its_logs_its_runtime_and_its_exemplars(tmp_path: Path) -> None:
    """One process, everything on: only the slow request is marked, and only it is an exemplar."""
    with http_sink() as sink:
        printed = run(sink, tmp_path, OTEL_LOGS_EXPORTER="otlp")
        spans = {span.name: span for span in sink.items(Signal.TRACES)}
        logs = {record.body.string_value: record for record in sink.items(Signal.LOGS)}
        metrics = points(sink)
    slow, fast = spans["GET /slow"], spans["GET /fast"]
    marks = {one.key: one.value for one in slow.attributes}
    assert marks["otel_sidecar.keep"].bool_value
    assert marks["otel_sidecar.keep_reason"].string_value == "slow"
    assert "otel_sidecar.keep" not in {one.key for one in fast.attributes}
    exemplars = {
        exemplar.trace_id
        for all_points in metrics.values()
        for point in all_points
        for exemplar in getattr(point, "exemplars", ())
    }
    assert exemplars == {slow.trace_id}
    # The service's own basicConfig still worked, with the ids; the same records went out by OTLP.
    assert f"INFO shop {slow.trace_id.hex()} slow\n" in printed
    assert logs["slow"].trace_id == slow.trace_id
    assert logs["fast"].span_id == fast.span_id
    assert set(metrics) >= {"process.cpu.time", "cpython.gc.collections", "asyncio.event_loop.lag", "thread_pool.limit"}
    assert "the event loop is blocked" in printed
    assert any(name.startswith("the event loop is blocked") for name in logs)
    blocked = {one.value.string_value for point in metrics["asyncio.event_loop.blocked"] for one in point.attributes}
    assert blocked == {"__main__.slow"}


def test_it_can_all_be_switched_off(tmp_path: Path) -> None:
    """By the environment, whatever the code says."""
    off = {"OTEL_SIDECAR_RUNTIME": "false", "OTEL_PYTHON_LOG_CORRELATION": "true", "OTEL_SIDECAR_SLOW": "60"}
    with http_sink() as sink:
        printed = run(sink, tmp_path, **off)
        assert sink.items(Signal.LOGS) == []
        metrics = points(sink)
    assert "event loop" not in printed
    assert metrics
    assert not [name for name in metrics if not name.startswith("http.")]
