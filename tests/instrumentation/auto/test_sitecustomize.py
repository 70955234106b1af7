"""The hook of `otel-sidecar run`: it instruments what nobody has instrumented, and changes nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, clean_env

pytestmark = pytest.mark.integration

HOOK = ROOT / "instrumentation" / "auto"
# Nothing is sent, and nobody is asked.
QUIET = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_SIDECAR_METRICS": "127.0.0.1:9"}


def python(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    """Runs code as `otel-sidecar run` would, with more folders on the path behind the hook's own."""
    places = ":".join(map(str, (HOOK, *path, ROOT)))
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**clean_env(), **QUIET, "PYTHONPATH": places},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_service_that_instruments_itself_keeps_its_arguments() -> None:
    """Its own `instrument(app, ...)` comes before the first call, whenever it is."""
    done = python("""
from fastapi import FastAPI
from instrumentation import instrument
from tests.compat.asgi import request
app = FastAPI()
own = instrument(app, service_name="mine", metrics_path="/own", runtime=False)
assert request(app, "GET", "/docs") == 200
assert instrument(app) is own
assert request(app, "GET", "/own") != 404
assert request(app, "GET", "/metrics") == 404
print(own.settings.service_name)
""")
    assert done.stdout == "mine\n", done.stderr


def test_an_applications_own_middleware_stack_is_built_once() -> None:
    """A service that overrides `build_middleware_stack` finds its own layer once around its application."""
    done = python("""
from fastapi import FastAPI
from tests.compat.asgi import request
class Own(FastAPI):
    built = 0
    def build_middleware_stack(self):
        Own.built += 1
        return super().build_middleware_stack()
app = Own()
assert request(app, "GET", "/docs") == 200
print(Own.built, hasattr(app, "_otel_sidecar_telemetry"))
""")
    assert done.stdout == "1 True\n", done.stderr


def test_looking_for_fastapi_does_not_use_the_hook_up() -> None:
    """A library that asks whether FastAPI is there leaves it to be hooked when it is imported."""
    done = python("""
import importlib.util
assert importlib.util.find_spec("fastapi.applications")
import fastapi
from tests.compat.asgi import request
app = fastapi.FastAPI()
request(app, "GET", "/docs")
print(hasattr(app, "_otel_sidecar_telemetry"))
""")
    assert done.stdout == "True\n", done.stderr


def test_telemetry_that_cannot_be_had_does_not_stop_the_service(tmp_path: Path) -> None:
    """Said once, with its cause, and every request is answered."""
    (tmp_path / "instrumentation.py").write_text("raise RuntimeError('broken')")
    done = python(
        """
from fastapi import FastAPI
from tests.compat.asgi import request
app = FastAPI()
print([request(app, "GET", "/docs") for _ in range(3)])
""",
        tmp_path,
    )
    assert done.stdout == "[200, 200, 200]\n", done.stderr
    assert done.stderr.count("the service is served without telemetry") == 1
    assert "RuntimeError: broken" in done.stderr


def test_the_sitecustomize_that_is_hidden_is_the_one_the_service_sees(tmp_path: Path) -> None:
    """It runs once, at start-up, and `import sitecustomize` gives it."""
    (tmp_path / "sitecustomize.py").write_text("print('runs'); mine = True")
    done = python("import sitecustomize; print(sitecustomize.mine)", tmp_path)
    assert done.stdout == "runs\nTrue\n", done.stderr


def test_a_sitecustomize_that_fails_is_told_by_python_as_ever(tmp_path: Path) -> None:
    """As without us: Python says so and goes on, and the hook is in place."""
    (tmp_path / "sitecustomize.py").write_text("raise KeyError('the cause')")
    done = python("import sys; print([type(one).__name__ for one in sys.meta_path][0])", tmp_path)
    assert done.stdout == "_Finder\n"
    assert "the cause" in done.stderr


def test_a_process_without_fastapi_imports_nothing_of_ours() -> None:
    """Every Python that a service starts runs the hook: it must cost next to nothing there."""
    done = python("import sys; print([m for m in sys.modules if m.startswith(('instrumentation', 'opentelemetry'))])")
    assert done.stdout == "[]\n", done.stderr
