"""No value of a standard variable keeps a service from starting."""

from __future__ import annotations

import subprocess
import sys

import pytest

from instrumentation.exporters import traces_endpoint
from instrumentation.sdk_settings import SdkSettings, read_sdk_settings

START = """
from fastapi import FastAPI
from instrumentation import instrument
app = FastAPI()
telemetry = instrument(app)
print("enabled" if telemetry.enabled else "disabled")
telemetry.shutdown(0.1)
"""


def test_the_defaults_are_the_specifications() -> None:
    """No variable set: nothing to say."""
    assert read_sdk_settings({}) == SdkSettings()
    assert SdkSettings().own_exemplars


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-5", "expected a whole number of at least 1; using 2048"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999", "more than OTEL_BSP_MAX_QUEUE_SIZE (2048); using 2048"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon", "expected a whole number of at least 1; using 5000"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "-1", "expected a whole number of at least 0; using no limit"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "x", "expected a whole number of at least 0; using 128"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "foo", "none of always_on, always_off, trace_based; ignored"),
    ],
)
def test_a_wrong_value_is_named_and_the_service_starts_with_telemetry(name: str, value: str, sentence: str) -> None:
    """The SDK alone ends the process for each of these."""
    assert read_sdk_settings({name: value}).problems == (f"{name}={value!r}: {sentence}",)
    env = {name: value, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, env=env, check=False)
    assert (done.returncode, done.stdout) == (0, "enabled\n"), done.stderr
    assert f"{name}={value!r}: {sentence}" in done.stderr


def test_valid_values_reach_the_sdk() -> None:
    """What the user asks for is used."""
    environ = {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_SPAN_LINK_COUNT_LIMIT": "3"}
    settings = read_sdk_settings({**environ, "OTEL_METRICS_EXEMPLAR_FILTER": "always_on"})
    assert (settings.queue_size, settings.batch_size, settings.delay_ms) == (100, 100, 50)
    assert settings.replaced_limits == {}
    assert not settings.own_exemplars


def test_what_nobody_foresaw_leaves_the_service_without_telemetry() -> None:
    """An SDK that raises for something else is named with its cause, and the service starts."""
    script = "import instrumentation.runtime as r\nr.build_resource = None\n" + START
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "disabled\n"), done.stderr
    assert "telemetry could not be set up; the service starts without it" in done.stderr
    assert "'NoneType' object is not callable" in done.stderr


def test_the_line_names_where_grpc_goes() -> None:
    """The stock exporter's own default, and never a password."""
    grpc = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert traces_endpoint(grpc) == "http://localhost:4317 (grpc)"
    assert traces_endpoint({**grpc, "OTEL_EXPORTER_OTLP_ENDPOINT": "https://me:secret@host:1"}) == "host:1 (grpc)"
