"""Other SDKs' fork ghosts are told, and a worker that is gone takes its requests in flight with it."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests.integration.conftest import Sidecar
from tests.support.processes import LOOPBACK, free_port, http, python, running, wait_for

pytestmark = pytest.mark.integration

EARLY = 5  # what the app counts before the fork
INTERVAL_S = 1.2  # long enough to be more than the two seconds before which nobody is dead


@pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn forks")
def test_totals_that_a_stock_sdk_kept_over_a_fork_are_told(sidecar: Sidecar) -> None:
    """Counts before the fork of gunicorn --preload: in the metric while it lasts, once in the log, the sum is off."""
    port = free_port()
    app = "tests.integration.apps.stock_preload:app"
    command = python("-m", "gunicorn", app, "--bind", f"{LOOPBACK}:{port}", "--workers", "2", "--preload")
    with running(command, name="gunicorn", env={**sidecar.env, "OTEL_SERVICE_NAME": "stock"}) as program:
        program.wait_url(f"http://{LOOPBACK}:{port}/healthz")
        pids = {http(f"http://{LOOPBACK}:{port}/").text for _ in range(10)}

        def ghosts() -> float:
            return sidecar.total("otel_sidecar_bridge_workers", state="fork_ghost")

        wait_for(lambda: sidecar.total("jobs_total") == 10 + 3 * EARLY, "the master's and both workers' totals")
        assert ghosts() == 2
        assert len(pids) <= 2
        # A worker in another's place is a ghost too, and no reason for another line.
        os.kill(int(pids.pop()), signal.SIGTERM)
        wait_for(lambda: sidecar.total("jobs_total") == 10 + 4 * EARLY, "the new worker's totals")
        assert ghosts() == 3
        program.stop()
    lines = [line for line in sidecar.program.output.splitlines() if "fork_ghost" in line]
    assert len(lines) == 1
    assert "fork_ghost: stock: service.instance.id" in lines[0]
    assert "opentelemetry-python #4767" in lines[0]


def test_a_dead_workers_requests_in_flight_go_within_two_intervals(sidecar: Sidecar) -> None:
    """SIGKILL while a request hangs: its gauge goes down, its counters stay."""
    port = free_port()
    app = "tests.integration.apps.counting:app"
    interval = {"OTEL_METRIC_EXPORT_INTERVAL": str(int(INTERVAL_S * 1000))}
    command = python("-m", "uvicorn", app, "--host", LOOPBACK, "--port", str(port), "--log-level", "warning")
    with running(command, name="service", env=sidecar.env | interval) as program:
        program.wait_url(f"http://{LOOPBACK}:{port}/openapi.json")
        assert http(f"http://{LOOPBACK}:{port}/predict/cat").status == 200
        hanging = threading.Thread(target=_ask, args=(f"http://{LOOPBACK}:{port}/hang",), daemon=True)
        hanging.start()
        wait_for(lambda: sidecar.total("http_server_active_requests") == 1, "the request in flight on /metrics")
        wait_for(lambda: sidecar.total("ml_predictions_total") == 1, "the prediction on /metrics")
        points = sidecar.total("otel_sidecar_bridge_points_total")
        time.sleep(3 * INTERVAL_S)  # three exports more, so that its rhythm is known
        assert sidecar.total("otel_sidecar_bridge_points_total") > points
        program.process.send_signal(signal.SIGKILL)
        program.process.wait(10)
        killed = time.monotonic()
        wait_for(lambda: sidecar.total("http_server_active_requests") == 0, "the request in flight to go")
        took = time.monotonic() - killed
        assert took <= 2 * INTERVAL_S + 0.3
        assert sidecar.total("ml_predictions_total") == 1
        hanging.join(5)


def _ask(url: str) -> None:
    try:
        http(url, timeout_s=30)
    except OSError:
        return
