"""/metrics of a service with several worker processes is one truth, also when a worker is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.conftest import EXPORT_INTERVAL_S, OPENMETRICS, TEXT, Sidecar, total, totals
from tests.support.load import Load
from tests.support.processes import LOOPBACK, Program, free_port, http, python, running, wait_for

pytestmark = pytest.mark.integration

APP = "tests.integration.apps.counting:app"
# Of the conventions, named like a histogram's count, but what live workers have now.
LEVELS = ("process_thread_count", "process_unix_file_descriptor_count")


@contextmanager
def service(sidecar: Sidecar, workers: int) -> Iterator[tuple[Program, int]]:
    port = free_port()
    command = python("-m", "uvicorn", APP, "--host", LOOPBACK, "--port", str(port), "--workers", str(workers))
    with running([*command, "--log-level", "warning"], name="service", env=sidecar.env) as program:
        program.wait_url(f"http://{LOOPBACK}:{port}/openapi.json")
        yield program, port


@pytest.mark.parametrize("workers", [2, 4])
def test_totals_are_what_was_answered(sidecar: Sidecar, workers: int) -> None:
    """Every worker's requests are counted once, in both formats, on the sidecar's port and on the service's own."""
    with service(sidecar, workers) as (program, port):
        load = Load(LOOPBACK, port, "/predict/cat", requests_each=100).start()
        load.join()
        assert http(f"http://{LOOPBACK}:{port}/predict/bad").status == 400
        assert len(load.answers) == 400
        assert len(load.pids()) == workers
        wait_for(lambda: sidecar.total("ml_predictions_total") == 401, "all predictions on /metrics")
        assert (
            totals(f"http://{LOOPBACK}:{port}/metrics")["ml_predictions_total"]
            == (sidecar.totals()["ml_predictions_total"])
        )
        assert program.stop() in (0, -signal.SIGTERM)
    for accept in (TEXT, OPENMETRICS):
        found = sidecar.totals(accept)
        assert total(found, "ml_predictions_total", ml_prediction_class="cat", ml_prediction_outcome="success") == 400
        assert total(found, "ml_predictions_total", ml_prediction_outcome="error") == 1
        assert total(found, "http_server_request_duration_seconds_count", http_route="/predict/{name}") == 401
        assert total(found, "ml_prediction_duration_seconds_bucket", le="+Inf") == 401
        assert total(found, "http_server_active_requests") == 0
        assert total(found, "target_info") == 1


def test_a_killed_worker_costs_at_most_its_last_interval_and_totals_never_fall(sidecar: Sidecar) -> None:
    """SIGKILL under load: what the worker had exported stays, what it had not is bounded, nothing is counted twice."""
    with service(sidecar, 2) as (program, port):
        watch = Watch(sidecar).start()
        load = Load(LOOPBACK, port, "/predict/cat").start()
        wait_for(lambda: len(load.pids()) == 2 and load.seconds() > 6 * EXPORT_INTERVAL_S, "load on both workers")
        victim = min(load.pids())
        os.kill(victim, signal.SIGKILL)
        killed_at = time.time()
        wait_for(lambda: len(load.pids()) == 3, "the worker that takes its place")
        load.stop()
        program.stop()
        watch.stop()
    final = sidecar.total("ml_predictions_total")
    # The last export began at most one interval before; half of one more for an export that was under way.
    last_interval = load.answered_by(victim, since=killed_at - 1.5 * EXPORT_INTERVAL_S)
    assert len(load.answers) - last_interval <= final <= len(load.answers) + len(load.failures)
    assert load.answered_by(victim) > last_interval
    assert watch.falls == []
    assert watch.looks > 5
    assert sidecar.total("http_server_active_requests") == 0


class Watch:
    """Scrapes all the time and notes each series that was ever lower than before."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.falls: list[str] = []
        self.looks = 0

    def start(self) -> Watch:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _look(self) -> None:
        before: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        while not self._stop.wait(0.05):
            now = self._sidecar.totals()
            self.looks += 1
            for name, series in before.items():
                if name in LEVELS or not name.endswith(("_total", "_count", "_sum", "_bucket")):
                    continue
                for key, value in series.items():
                    if now.get(name, {}).get(key, -1) < value:
                        self.falls.append(f"{name}{dict(key)}: {value} → {now.get(name, {}).get(key)}")
            before = now


@pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn forks")
def test_counts_made_before_a_fork_are_counted_once(sidecar: Sidecar) -> None:
    """Under gunicorn --preload the master's five predictions are five, and each worker starts from zero."""
    port = free_port()
    command = python("-m", "gunicorn", APP, "--bind", f"{LOOPBACK}:{port}", "--workers", "3", "--preload")
    env = {**sidecar.env, "COUNT_AT_IMPORT": "5"}
    with running([*command, "--worker-class", "asgi"], name="gunicorn", env=env) as program:
        program.wait_url(f"http://{LOOPBACK}:{port}/openapi.json")
        load = Load(LOOPBACK, port, "/predict/cat", requests_each=75).start()
        load.join()
        assert len(load.answers) == 300
        assert len(load.pids()) > 1
        wait_for(lambda: sidecar.total("ml_predictions_total") == 305, "all predictions on /metrics")
        assert sidecar.total("ml_predictions_total", ml_prediction_class="early") == 5
        # The master loaded the model; the workers inherited it and say so.
        assert set(sidecar.totals()["ml_model_loaded"].values()) == {1.0}
        program.stop()
    assert sidecar.total("ml_predictions_total") == 305


def test_the_stock_grpc_exporters_are_used_when_asked_for(sidecar: Sidecar) -> None:
    """OTEL_EXPORTER_OTLP_PROTOCOL=grpc: the extra's exporters, to the sidecar's gRPC receiver."""
    grpc = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sidecar.grpc}", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    port = free_port()
    command = python("-m", "uvicorn", APP, "--host", LOOPBACK, "--port", str(port), "--log-level", "warning")
    with running(command, name="service", env={**sidecar.env, **grpc}) as program:
        program.wait_url(f"http://{LOOPBACK}:{port}/openapi.json")
        assert http(f"http://{LOOPBACK}:{port}/predict/cat").status == 200
        wait_for(lambda: sidecar.total("ml_predictions_total") == 1, "the prediction on /metrics")
        wait_for(lambda: sidecar.total("otel_sidecar_received_total", signal="traces") >= 4, "the spans")
