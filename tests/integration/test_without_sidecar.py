"""A service whose sidecar is missing, dead or lying serves all the same, and ends in time."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.integration.conftest import OPENMETRICS, TEXT, total, totals
from tests.support.load import Load
from tests.support.processes import LOOPBACK, Program, free_port, http, python, running, wait_for

pytestmark = pytest.mark.integration

APP = "tests.integration.apps.counting:app"


@contextmanager
def service(*arguments: str, **env: str) -> Iterator[tuple[Program, int]]:
    port = free_port()
    command = python("-m", "uvicorn", APP, "--host", LOOPBACK, "--port", str(port), "--log-level", "warning")
    nobody = f"{LOOPBACK}:{free_port()}"
    alone = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{nobody}", "OTEL_SIDECAR_METRICS": nobody}
    with running([*command, *arguments], name="service", env={**alone, **env}) as program:
        program.wait_url(f"http://{LOOPBACK}:{port}/openapi.json")
        yield program, port


def test_no_sidecar_costs_no_exception_and_no_blocked_request() -> None:
    """Every request is answered, quickly, and nothing but one warning about the endpoint is said."""
    with service(OTEL_METRIC_EXPORT_INTERVAL="100", OTEL_BSP_SCHEDULE_DELAY="100") as (program, port):
        load = Load(LOOPBACK, port, "/predict/cat", threads=2, requests_each=200)
        begun = time.monotonic()
        load.start().join()
        took = time.monotonic() - begun
        wait_for(lambda: "no sidecar seen" in program.output, "the start-up line")
        program.stop()
    assert (len(load.answers), load.failures) == (400, [])
    assert took < 20
    assert "Traceback" not in program.output
    assert program.output.count("otel-sidecar: service=counting") == 1


def test_a_black_hole_does_not_hold_up_requests_or_the_end() -> None:
    """The endpoint takes connections and never answers: SIGTERM still ends the service within the bound."""
    with closing(socket.create_server((LOOPBACK, 0))) as hole:
        address = f"{LOOPBACK}:{hole.getsockname()[1]}"
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
        with service(OTEL_METRIC_EXPORT_INTERVAL="50", **env) as (program, port):
            load = Load(LOOPBACK, port, "/predict/cat", threads=2, requests_each=50).start()
            load.join()
            assert len(load.answers) == 100
            begun = time.monotonic()
            program.stop(signal.SIGTERM, timeout_s=20)
            # The flush may take 3 s at the end of the lifespan and the shutdown 3 s more at exit.
            assert time.monotonic() - begun < 8
    assert "Traceback" not in program.output


def test_one_process_speaks_for_itself() -> None:
    """Without a sidecar, /metrics of a single process is its own, in Prometheus' format, again and again."""
    with service() as (_, port):
        load = Load(LOOPBACK, port, "/predict/cat", threads=1, requests_each=7).start()
        load.join()
        for accept in (TEXT, TEXT):
            found = totals(f"http://{LOOPBACK}:{port}/metrics", accept)
            assert total(found, "ml_predictions_total", ml_prediction_class="cat") == 7
        assert http(f"http://{LOOPBACK}:{port}/metrics", headers={"accept": OPENMETRICS}).status == 200


def test_several_processes_without_a_sidecar_say_that_they_cannot_be_right() -> None:
    """One worker's numbers are not the service's: the scrape fails, with the reason and what to do."""
    with service("--workers", "2") as (_, port):
        reply = http(f"http://{LOOPBACK}:{port}/metrics")
    assert reply.status == 503
    assert "several worker processes" in reply.text
    assert "otel-sidecar run" in reply.text


def test_the_sdk_disabled_is_no_telemetry_at_all() -> None:
    """OTEL_SDK_DISABLED=true: the service as it was, and a line that says so."""
    with service(OTEL_SDK_DISABLED="true") as (program, port):
        load = Load(LOOPBACK, port, "/predict/cat", threads=1, requests_each=3).start()
        load.join()
        assert len(load.answers) == 3
        assert http(f"http://{LOOPBACK}:{port}/metrics").status == 404
    assert "OTEL_SDK_DISABLED=true" in program.output
