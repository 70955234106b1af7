"""The public surface is what is written down, no more and no less."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from fastapi import FastAPI

import instrumentation
from instrumentation import Telemetry, instrument


def test_all_names_what_is_there() -> None:
    """`__all__` equals the classes and functions that the package shows."""
    visible = {
        name
        for name, value in vars(instrumentation).items()
        if not name.startswith("_") and getattr(value, "__module__", "").startswith("instrumentation.")
    }
    assert visible == set(instrumentation.__all__)


def test_instrumenting_twice_gives_the_same_object() -> None:
    """A second call changes nothing."""
    app = FastAPI()
    telemetry = instrument(app)
    assert isinstance(telemetry, Telemetry)
    assert instrument(app, metrics_path=None) is telemetry


def test_what_is_no_application_is_refused_by_its_type() -> None:
    """A mistake in the code is an error where it is written."""
    with pytest.raises(TypeError, match="instrument\\(app\\): dict is no FastAPI or Starlette application"):
        instrument({})


def test_wrong_buckets_are_refused() -> None:
    """They are the code's, so they are an error and no warning."""
    with pytest.raises(ValueError, match=r"buckets\['http.server.request.duration'\]"):
        instrument(FastAPI(), buckets={"http.server.request.duration": [2, 1]})


def test_a_wrong_variable_is_a_warning_and_the_service_starts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Telemetry never hurts the service."""
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "soon")
    with caplog.at_level(logging.WARNING, "instrumentation"):
        assert instrument(FastAPI()).enabled
    assert "OTEL_METRIC_EXPORT_INTERVAL='soon': expected milliseconds above 0; using 5000" in caplog.messages


def test_flush_and_shutdown_of_a_disabled_telemetry_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SDK_DISABLED leaves an object whose methods can be called."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    telemetry = instrument(FastAPI())
    assert not telemetry.enabled
    telemetry.flush()
    telemetry.shutdown()


def test_the_base_imports_neither_protobuf_nor_grpc_nor_a_web_framework() -> None:
    """What pins of ML images collide with is not loaded, nor what a service does not need."""
    script = "import sys, instrumentation; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert loaded & {"google", "grpc", "fastapi", "starlette", "requests", "prometheus_client", "sidecar"} == set()
