"""A service that knows nothing of telemetry is instrumented by `otel-sidecar run`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integration.conftest import total, totals
from tests.support.load import Load
from tests.support.processes import LOOPBACK, ROOT, free_port, python, running, wait_for

pytestmark = pytest.mark.integration

BIN = Path(sys.executable).parent
UNTOUCHED = "tests.integration.apps.untouched:app"
UVICORN: list[str | Path] = [BIN / "uvicorn", UNTOUCHED, "--workers", "2", "--host", LOOPBACK]
GUNICORN: list[str | Path] = [BIN / "gunicorn", UNTOUCHED, "--workers", "2", "--worker-class", "asgi"]


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn", "gunicorn --preload"])
def test_an_untouched_service_is_counted_exactly(server: str) -> None:
    """Every request of both workers is on the one /metrics, by its route's template."""
    port, metrics = free_port(), f"{LOOPBACK}:{free_port()}"
    command: list[str | Path]
    if server == "uvicorn":
        command = [*UVICORN, "--port", str(port)]
    else:
        command = [*GUNICORN, "--bind", f"{LOOPBACK}:{port}", *server.split()[1:]]
    env = {
        "OTEL_SIDECAR_METRICS": metrics,
        "OTEL_SIDECAR_HTTP": f"{LOOPBACK}:{free_port()}",
        "OTEL_SIDECAR_GRPC": "off",
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "OTEL_SERVICE_NAME": "untouched-service",
    }
    with running([*python("-m", "sidecar", "run", "--"), *command], name="run", env=env, cwd=ROOT) as program:
        program.wait_url(f"http://{LOOPBACK}:{port}/openapi.json")
        load = Load(LOOPBACK, port, "/items/7", requests_each=50).start()
        load.join()
        assert len(load.answers) == 200, program.output

        def counted() -> bool:
            found = totals(f"http://{metrics}/metrics")
            return total(found, "http_server_request_duration_seconds_count", http_route="/items/{item}") == 200

        wait_for(counted, "all requests on /metrics")
        (target,) = totals(f"http://{metrics}/metrics")["target_info"]
        assert dict(target)["service_name"] == "untouched-service"
    assert "Traceback" not in program.output


def test_a_sitecustomize_of_the_services_own_still_runs(tmp_path: Path) -> None:
    """Ours stands before it and hands on."""
    (tmp_path / "sitecustomize.py").write_text("print('the service own sitecustomize ran')")
    env = {
        "PYTHONPATH": str(tmp_path),
        "OTEL_SIDECAR_METRICS": f"{LOOPBACK}:{free_port()}",
        "OTEL_SIDECAR_HTTP": f"{LOOPBACK}:{free_port()}",
        "OTEL_SIDECAR_GRPC": "off",
    }
    command = python("-m", "sidecar", "run", "--", sys.executable, "-c", "print('the service ran')")
    with running(command, name="run", env=env) as program:
        wait_for(lambda: program.process.poll() is not None, "the end of the service")
    assert "the service own sitecustomize ran\nthe service ran" in program.output
    assert program.process.returncode == 0
