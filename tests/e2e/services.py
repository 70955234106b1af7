"""Starts the product as its users do, the sidecar beside the example under uvicorn, and posts images to it."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.catvsdog.images import Upload, picture
from tests.e2e.addresses import free_addresses
from tests.support.processes import ROOT, Program, Reply, http, python, running, wait_for

CONTRACT = ROOT / "examples" / "catvsdog" / "observability.yaml"
# What a request to /predict answers for a file that is no image.
BROKEN = Upload("broken.jpg", "image/jpeg", b"\xff\xd8\xff\xe0 this is no JPEG")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running `otel-sidecar serve`."""

    grpc: str
    http: str
    metrics: str
    program: Program

    def account(self, signal: str) -> dict[str, Any]:
        """What the ledger says of one signal; with one target there is one account."""
        accounts = json.loads(http(f"http://{self.metrics}/ledger").body)["accounts"]
        (found,) = (account for account in accounts if account["signal"] == signal)
        return dict(found)


@contextmanager
def sidecar(*options: str | Path) -> Iterator[Sidecar]:
    """Runs the sidecar on free addresses until the block ends."""
    address = free_addresses("grpc", "http", "metrics")
    addresses = (part for name, where in address.items() for part in (f"--{name}", where))
    with running(python("-m", "sidecar", "serve", *addresses, *options), name="otel-sidecar") as program:
        program.wait_url(f"http://{address['metrics']}/readyz")
        yield Sidecar(address["grpc"], address["http"], address["metrics"], program)


@contextmanager
def catvsdog(beside: Sidecar, service: str, *, workers: int = 2) -> Iterator[str]:
    """Runs the example under real uvicorn until the block ends; yields its `host:port` when all workers serve."""
    address = free_addresses("web")["web"]
    host, _, port = address.rpartition(":")
    command = ("-m", "uvicorn", "examples.catvsdog.app:app", "--host", host, "--port", port, "--workers", str(workers))
    environment = {
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{beside.http}",
        "OTEL_SIDECAR_METRICS": beside.metrics,
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }
    with running(python(*command), name="catvsdog", env=environment) as program:
        program.wait_url(f"http://{address}/health", timeout_s=60)
        started = "Application startup complete"
        wait_for(lambda: program.output.count(started) == workers, f"{workers} workers of catvsdog", timeout_s=60)
        yield address


@dataclass(frozen=True, slots=True)
class Sent:
    """What a client sent to /predict and what it got."""

    replies: Sequence[tuple[Upload, Reply]]

    @property
    def good(self) -> list[dict[str, Any]]:
        return [json.loads(reply.body) for _, reply in self.replies if reply.status == 200]

    @property
    def classes(self) -> Counter[str]:
        return Counter(answer["class"] for answer in self.good)

    @property
    def statuses(self) -> Counter[str]:
        return Counter(str(reply.status) for _, reply in self.replies)


def predict(address: str, uploads: Sequence[Upload], *, at_once: int = 4) -> Sent:
    """Posts each file to /predict as a form with the field `file`."""
    with ThreadPoolExecutor(at_once) as pool:
        return Sent(list(zip(uploads, pool.map(lambda upload: _post(address, upload), uploads), strict=True)))


def pictures(count: int) -> list[Upload]:
    """Cats and dogs in turn, as JPEG and PNG."""
    kinds = (("cat", "image/jpeg"), ("dog", "image/png"), ("cat", "image/png"), ("dog", "image/jpeg"))
    return [picture(kinds[seed % 4][0], 1000 + seed, kinds[seed % 4][1]) for seed in range(count)]


def _post(address: str, upload: Upload) -> Reply:
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{upload.name}"\r\n'
    body = (
        f"{head}Content-Type: {upload.content_type}\r\n\r\n".encode() + upload.body + f"\r\n--{boundary}--\r\n".encode()
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return http(f"http://{address}/predict", body=body, headers=headers, timeout_s=30)
