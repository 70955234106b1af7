"""What the service finds in its environment under `run`: where the sidecar is, and the hook that instruments it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sidecar.values import Address

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_METRICS = "OTEL_SIDECAR_METRICS"
_ANY_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a client has to make of it


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the sidecar listens; None for a receiver that is off."""

    grpc: Address | None
    http: Address | None
    metrics: Address


def child_env(env: Mapping[str, str], addresses: Addresses) -> dict[str, str]:
    """The service's environment; what the user has set stays, but for the sidecar's own address."""
    child = dict(env)
    by_grpc = child.get(_PROTOCOL, "") == "grpc" or addresses.http is None
    receiver = addresses.grpc if by_grpc else addresses.http
    if receiver is not None:
        child.setdefault(_ENDPOINT, f"http://{_reachable(receiver)}")
        child.setdefault(_PROTOCOL, "grpc" if by_grpc else "http/protobuf")
    child[_METRICS] = str(_reachable(addresses.metrics))
    shim = shim_folder()
    if shim is not None:
        child["PYTHONPATH"] = os.pathsep.join(part for part in (str(shim), env.get("PYTHONPATH", "")) if part)
    return child


def hints(env: Mapping[str, str], addresses: Addresses) -> Iterator[str]:
    """What the user may not expect, each as a sentence."""
    ours = {f"http://{_reachable(one)}" for one in (addresses.grpc, addresses.http) if one is not None}
    endpoint = env.get(_ENDPOINT, "").rstrip("/")
    if endpoint and endpoint not in ours:
        yield f"{_ENDPOINT} is set: the service sends to {endpoint}, not to this sidecar at {', '.join(sorted(ours))}"
    if shim_folder() is None:
        yield "the package `instrumentation` is not installed beside this command: the service has to instrument itself"


def shim_folder() -> Path | None:
    """The folder whose `sitecustomize.py` instruments a service; found, not imported."""
    spec = find_spec("instrumentation")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "auto"
        if (folder / "sitecustomize.py").is_file():
            return folder
    return None


def _reachable(address: Address) -> Address:
    return Address(_ANY_HOST.get(address.host, address.host), address.port)
