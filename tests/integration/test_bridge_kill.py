"""SIGKILL of the sidecar at any moment: what Prometheus has been told never falls."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.integration.conftest import TEXT, total, totals
from tests.support import otlp_metrics as otlp
from tests.support.processes import LOOPBACK, Program, free_port, http, python, running, wait_for

pytestmark = pytest.mark.integration

KILLS = 6
SERIES = 60
WORKERS = 4
TENTH = 0.1  # its sums are rounded, and rounded otherwise in another order


class Workers(threading.Thread):
    """Processes that count and export without pause, in cumulative and delta points; they outlive every sidecar."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._ended = threading.Event()
        self._start = time.time_ns()
        self._last = [self._start] * WORKERS
        self.rounds = 0
        self.delivered = 0

    def run(self) -> None:
        while not self._ended.is_set():
            self.rounds += 1
            for worker in range(WORKERS):
                self._export(worker)

    def end(self) -> None:
        """Stops, after one last export that arrives."""
        self._ended.set()
        self.join(20)
        for worker in range(WORKERS):
            wait_for(lambda worker=worker: self._export(worker), "the last export to arrive")  # type: ignore[misc] # bound early

    def _export(self, worker: int) -> bool:
        now, count, start = time.time_ns(), self.rounds, self._start + worker
        series = [
            otlp.point((worker + 1) * TENTH * count + place, {"k": str(place)}, start=start, time=now)
            for place in range(SERIES)
        ]
        layout = otlp.histogram_point([1.0, 2.0], [count, 2 * count, 1], TENTH * count, start=start, time=now)
        delta = otlp.point(1, {"worker": str(worker)}, start=self._last[worker], time=now)
        body = otlp.request(
            {"service.instance.id": str(worker)},
            otlp.counter("kept", *series),
            otlp.histogram("lag", layout),
            otlp.counter("moved", delta, delta=True),
        )
        try:
            done = http(
                f"http://{self._address}/v1/metrics",
                body=body,
                headers={"content-type": "application/x-protobuf"},
                timeout_s=5,
            )
        except (OSError, HTTPException):
            time.sleep(0.02)  # the sidecar is down
            return False
        if done.status == 200:
            self._last[worker] = now
            self.delivered += 1
        return done.status == 200


@contextmanager
def serving(otlp_address: str, metrics: str, state: Path) -> Iterator[Program]:
    command = python("-m", "sidecar", "serve", "--http", otlp_address, "--grpc", "off", "--metrics", metrics)
    with running([*command, "--state", str(state)], name="sidecar") as program:
        program.wait_url(f"http://{metrics}/readyz")
        yield program


def test_no_total_falls_below_the_last_scrape(tmp_path: Path) -> None:
    """Under load, scraped all the time, killed at random moments, also in the middle of a save."""
    chance = random.Random(20)
    receive, metrics = (f"{LOOPBACK}:{free_port()}" for _ in range(2))
    workers = Workers(receive)
    seen: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    looks = 0
    workers.start()
    try:
        for _ in range(KILLS):
            with serving(receive, metrics, tmp_path) as program:
                until = time.monotonic() + chance.uniform(0.4, 1.4)
                killer = threading.Timer(until - time.monotonic(), program.process.kill)
                killer.start()
                try:
                    while True:
                        looks += look(metrics, seen)
                except (OSError, HTTPException):  # it is dead
                    killer.join()
                assert program.process.wait(10) == -signal.SIGKILL
        with serving(receive, metrics, tmp_path) as program:
            look(metrics, seen)
            workers.end()
            found = totals(f"http://{metrics}/metrics", TEXT)
            assert "is damaged" not in program.output
            assert program.stop() == 0
    finally:
        workers._ended.set()
    assert looks > 2 * KILLS
    share = sum(range(1, WORKERS + 1))
    assert total(found, "lag_count") == WORKERS * (3 * workers.rounds + 1)
    assert total(found, "kept_total", k="7") == pytest.approx(share * TENTH * workers.rounds + WORKERS * 7)
    # Deltas between the last scrape and the kill are gone; nothing is there twice.
    assert 0 < total(found, "moved_total") <= workers.delivered


def look(metrics: str, seen: dict[tuple[str, tuple[tuple[str, str], ...]], float]) -> int:
    """One scrape: nothing that was ever shown is lower or missing."""
    now = {
        (name, labels): value
        for name, series in totals(f"http://{metrics}/metrics", TEXT).items()
        if name.startswith(("kept", "lag", "moved"))
        for labels, value in series.items()
    }
    fallen = {key: (value, now.get(key)) for key, value in seen.items() if not now.get(key, -1.0) >= value}
    assert fallen == {}
    seen.update(now)
    return 1
