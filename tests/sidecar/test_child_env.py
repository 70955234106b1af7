"""The service under `run` finds the sidecar, and keeps what its user has set."""

from __future__ import annotations

import os
import subprocess
import sys

from sidecar.child_env import Addresses, child_env, hints, shim_folder
from sidecar.values import Address
from tests.support.processes import ROOT

BOTH = Addresses(Address("127.0.0.1", 4317), Address("127.0.0.1", 4318), Address("127.0.0.1", 9464))


def test_a_bare_environment() -> None:
    assert child_env({"PATH": "/bin"}, BOTH) == {
        "PATH": "/bin",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SIDECAR_METRICS": "127.0.0.1:9464",
        "PYTHONPATH": str(ROOT / "instrumentation" / "auto"),
    }


def test_the_user_s_own_settings_stay() -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "PYTHONPATH": "/mine",
        "OTEL_SIDECAR_METRICS": "127.0.0.1:1",
    }
    child = child_env(env, BOTH)
    assert child["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    assert child["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/json"
    assert child["PYTHONPATH"] == f"{ROOT / 'instrumentation' / 'auto'}{os.pathsep}/mine"
    assert child["OTEL_SIDECAR_METRICS"] == "127.0.0.1:9464"  # where it really is
    (hint,) = hints(env, BOTH)
    assert hint == (
        "OTEL_EXPORTER_OTLP_ENDPOINT is set: the service sends to http://collector:4318, "
        "not to this sidecar at http://127.0.0.1:4317, http://127.0.0.1:4318"
    )


def test_whoever_speaks_grpc_gets_the_grpc_address() -> None:
    assert child_env({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, BOTH)["OTEL_EXPORTER_OTLP_ENDPOINT"] == (
        "http://127.0.0.1:4317"
    )
    only_grpc = Addresses(BOTH.grpc, None, BOTH.metrics)
    child = child_env({}, only_grpc)
    assert (child["OTEL_EXPORTER_OTLP_ENDPOINT"], child["OTEL_EXPORTER_OTLP_PROTOCOL"]) == (
        "http://127.0.0.1:4317",
        "grpc",
    )


def test_an_address_for_everyone_is_reached_by_loopback() -> None:
    everywhere = Addresses(None, Address("0.0.0.0", 4318), Address("::", 9464))  # noqa: S104 - only read here
    child = child_env({}, everywhere)
    assert child["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"
    assert child["OTEL_SIDECAR_METRICS"] == "[::1]:9464"


def test_no_hints_when_all_is_as_usual() -> None:
    assert list(hints({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318/"}, BOTH)) == []


def test_the_hook_is_found_without_importing_the_package() -> None:
    code = (
        "import sys; from sidecar.child_env import shim_folder; "
        "assert (shim_folder() / 'sitecustomize.py').is_file(); assert 'instrumentation' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    assert shim_folder() == ROOT / "instrumentation" / "auto"
