"""Memory of the sidecar, idle and after the load of the other benchmarks."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.processes import LOOPBACK, free_port, python, running


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


@contextmanager
def measured_sidecar() -> Iterator[str]:
    """A running sidecar's OTLP/HTTP endpoint; prints its memory before and after what is done with it."""
    http, grpc, metrics = (f"{LOOPBACK}:{free_port()}" for _ in range(3))
    command = python("-m", "sidecar", "serve", "--http", http, "--grpc", grpc, "--metrics", metrics)
    with running(command, name="sidecar") as program:
        program.wait_url(f"http://{metrics}/readyz")
        print(f"sidecar idle: {resident_mb(program.pid):.1f} MB resident")
        yield f"http://{http}"
        print(f"sidecar after the load: {resident_mb(program.pid):.1f} MB resident")
