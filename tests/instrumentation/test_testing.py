"""Service authors can test their telemetry with what this package gives them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from instrumentation import Model, testing
from instrumentation.testing import capture

SERVICES = Path(__file__).parent / "services"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A service's tests have the process's providers to themselves."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{SERVICES.parents[2]}:{folder}"}
    environ |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_sample_services_tests_pass(tmp_path: Path) -> None:
    """Instrumented at its import, as services are; with the fixture and without."""
    shutil.copytree(SERVICES, tmp_path, dirs_exist_ok=True)
    done = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "-W", "error", "checks.py")
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_it_needs_no_pytest_and_no_instrument(tmp_path: Path) -> None:
    """A script captures with providers of its own; pytest is not imported."""
    script = (
        "import sys\n"
        "from instrumentation import Model\n"
        "from instrumentation.testing import capture\n"
        "model = Model('m')\n"
        "with capture() as captured:\n"
        "    with model.predict() as p: p.result('cat')\n"
        "print(captured.value('ml.predictions'), captured.span('predict m').name, 'pytest' in sys.modules)\n"
    )
    done = run(tmp_path, "-c", script)
    assert done.stdout == "1 predict m False\n", done.stderr


def test_one_capture_at_a_time() -> None:
    """Two would share one clock; the refused one leaves the first as it was."""
    with capture(), pytest.raises(RuntimeError, match="one at a time"), capture():
        pass
    with capture() as again:
        Model("again").predict().__enter__().__exit__(None, None, None)
    assert again.value("ml.predictions") == 1


def test_the_clock_does_not_go_back() -> None:
    """As no clock of ours does."""
    with capture() as captured, pytest.raises(ValueError, match=r"advance\(-1\): time does not go back"):
        captured.clock.advance(-1)


def test_what_is_not_there_is_an_attribute_error() -> None:
    """The fixture is made on demand; nothing else is."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        testing.nothing  # noqa: B018 - to be refused
