"""Starts the real Prometheus with the shipped configuration and asks its query API, as a dashboard would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.e2e.addresses import free_addresses
from tests.support.processes import ROOT, http, running, wait_for
from tools import parts

CONFIG = ROOT / "deploy" / "prometheus" / "prometheus.yaml"
# The targets in the shipped file, by job.
SIDECAR = "127.0.0.1:9464"
GATEWAY = "127.0.0.1:8888"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    address: str

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """An instant query: the value of each label set (`__name__` included)."""
        found = self._get("query", query=expression)["result"]
        return {tuple(sorted(row["metric"].items())): float(row["value"][1]) for row in found}

    def value(self, expression: str) -> float:
        """An instant query with one result."""
        found = self.query(expression)
        assert len(found) == 1, f"{expression} has {len(found)} results: {found}"
        return next(iter(found.values()))

    def by(self, label: str, expression: str) -> dict[str, float]:
        """`sum by (label) (expression)`, as a dictionary by the label's value."""
        return {dict(labels).get(label, ""): v for labels, v in self.query(f"sum by ({label}) ({expression})").items()}

    def exemplars(self, expression: str, start_s: float, end_s: float) -> list[Mapping[str, Any]]:
        """All exemplars of the expression's series; times in seconds since the epoch."""
        found = self._get("query_exemplars", query=expression, start=str(start_s), end=str(end_s))
        return [exemplar for series in found for exemplar in series["exemplars"]]

    def targets(self) -> dict[str, tuple[str, str]]:
        """Health and last error of each job's target."""
        found = self._get("targets", state="active")["activeTargets"]
        return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in found}

    def wait_up(self, job: str) -> None:
        """Waits for the first good scrape of a job: one scrape interval at most."""

        def up() -> bool:
            health, error = self.targets().get(job, ("unknown", "not discovered yet"))
            assert health == "up", f"{health} {error}"
            return True

        wait_for(up, f"Prometheus to scrape {job}", timeout_s=40, every_s=0.2)

    def wait_value(self, expression: str, expected: float) -> None:
        """Waits until a scrape has brought the expected value."""

        def there() -> bool:
            found = self.value(expression)
            assert found == expected, f"{expression} is {found}, not {expected}"
            return True

        wait_for(there, f"{expression} to be {expected} in Prometheus", timeout_s=40, every_s=0.2)

    def _get(self, path: str, **query: str) -> Any:
        reply = http(f"http://{self.address}/api/v1/{path}?{urlencode(query)}")
        assert reply.status == 200, f"Prometheus answered {reply.status} to {path} {query}: {reply.text}"
        return json.loads(reply.body)["data"]


def render(sidecar: str, gateway: str) -> str:
    """The shipped configuration with these targets, and otherwise unchanged."""
    text = CONFIG.read_text()
    for shipped, here in ((SIDECAR, sidecar), (GATEWAY, gateway)):
        assert text.count(f'"{shipped}"') == 1, f"{CONFIG} names {shipped} {text.count(shipped)} times"
        text = text.replace(f'"{shipped}"', f'"{here}"')
    return text


@contextmanager
def prometheus(folder: Path, *, sidecar: str = SIDECAR, gateway: str = GATEWAY) -> Iterator[Prometheus]:
    """Runs Prometheus with the shipped configuration on these targets; its data is in `folder`."""
    config = folder / "prometheus.yaml"
    config.write_text(render(sidecar, gateway))
    address = free_addresses("web")["web"]
    command: list[str | Path] = [
        parts.binary("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]
    with running(command, name="prometheus") as program:
        program.wait_url(f"http://{address}/-/ready")
        yield Prometheus(address)
