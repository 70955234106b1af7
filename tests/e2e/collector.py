"""Starts the real Collector with the gateway's own configuration; a test only gives it addresses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.addresses import free_addresses
from tests.support.processes import ROOT, Program, http, running
from tools import parts

GATEWAY = ROOT / "collector" / "gateway.yaml"


@dataclass(frozen=True, slots=True)
class Collector:
    """A running gateway: where it takes OTLP and where it shows its own metrics."""

    grpc: str
    http: str
    metrics: str
    program: Program

    def metric(self, name: str) -> float:
        """The sum of one of its own metrics over all label sets; 0 when it has not counted yet."""
        lines = http(f"http://{self.metrics}/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))


@contextmanager
def collector(jaeger_grpc: str, **settings: str) -> Iterator[Collector]:
    """Runs the gateway in front of a Jaeger; `settings` are further `GATEWAY_*` variables of collector/README.md."""
    address = free_addresses("grpc", "http", "health", "metrics")
    environment = {
        "GATEWAY_GRPC": address["grpc"],
        "GATEWAY_HTTP": address["http"],
        "GATEWAY_HEALTH": address["health"],
        "GATEWAY_METRICS_PORT": address["metrics"].rpartition(":")[2],
        "GATEWAY_JAEGER": jaeger_grpc,
        **settings,
    }
    with running([parts.binary("otelcol-sidecar"), "--config", GATEWAY], name="collector", env=environment) as program:
        program.wait_url(f"http://{address['health']}/")
        yield Collector(environment["GATEWAY_GRPC"], environment["GATEWAY_HTTP"], address["metrics"], program)
