"""The shipped configuration files are good in the eyes of the programs that read them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.collector import GATEWAY
from tests.e2e.prometheus import CONFIG
from tools import parts

pytestmark = pytest.mark.e2e


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_the_prometheus_configuration() -> None:
    """With its strictest lint."""
    assert "SUCCESS" in _run(parts.binary("promtool"), "check", "config", "--lint=all", "--lint-fatal", CONFIG)


def test_the_collector_accepts_the_gateway_configuration() -> None:
    """As shipped, with no variable set."""
    _run(parts.binary("otelcol-sidecar"), "validate", "--config", GATEWAY)
