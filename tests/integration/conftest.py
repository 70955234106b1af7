"""A real sidecar and real services on free loopback ports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import LOOPBACK, Program, free_port, http, python, running

TEXT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
EXPORT_INTERVAL_S = 0.5


@dataclass
class Sidecar:
    """A running sidecar's addresses and what can be asked of it."""

    program: Program
    otlp: str
    grpc: str
    metrics: str

    @property
    def env(self) -> dict[str, str]:
        """What a service needs to find it."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.otlp}",
            "OTEL_SIDECAR_METRICS": self.metrics,
            "OTEL_METRIC_EXPORT_INTERVAL": str(int(EXPORT_INTERVAL_S * 1000)),
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }

    def totals(self, accept: str = TEXT) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        return totals(f"http://{self.metrics}/metrics", accept)

    def total(self, name: str, **labels: str) -> float:
        return total(self.totals(), name, **labels)


def totals(url: str, accept: str = TEXT) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Every sample of an exposition by name and labels, read by prometheus_client's parser of that format."""
    reply = http(url, headers={"accept": accept})
    assert reply.status == 200, reply.text
    assert reply.headers["content-type"].split(";")[0] == accept.partition(";")[0]
    parse = openmetrics.text_string_to_metric_families if "openmetrics" in accept else text_string_to_metric_families
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in parse(reply.text):
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            key = tuple(sorted(sample.labels.items()))
            assert key not in series, f"{sample.name}{key} stands twice"
            series[key] = sample.value
    return found


def total(samples: dict[str, dict[tuple[tuple[str, str], ...], float]], name: str, **labels: str) -> float:
    """The sum of a metric's series that have these labels."""
    return sum(value for key, value in samples.get(name, {}).items() if labels.items() <= dict(key).items())


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    addresses = [f"{LOOPBACK}:{free_port()}" for _ in range(3)]
    otlp, grpc, metrics = addresses
    command = python("-m", "sidecar", "serve", "--http", otlp, "--grpc", grpc, "--metrics", metrics)
    with running([*command, "--state", str(tmp_path / "state")], name="sidecar") as program:
        program.wait_url(f"http://{metrics}/readyz")
        yield Sidecar(program, otlp, grpc, metrics)
