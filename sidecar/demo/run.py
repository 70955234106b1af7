"""One run of the demo: model, sidecar, service, traffic; then the service stops and what the sidecar has is checked."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from typing import Any, Final

from sidecar.demo import verdict
from sidecar.demo.children import Child, ChildError
from sidecar.demo.place import Example
from sidecar.demo.report import Report
from sidecar.demo.settings import Settings
from sidecar.demo.traffic import Client, Request, Traffic, script
from sidecar.demo.verdict import Verdict

INTERRUPTED: Final = 130
_LOOPBACK: Final = "127.0.0.1"
#: Holds every span of the demo for a good while, so that all can be counted at its end.
_RECENT_BYTES: Final = "128MiB"
_TRAINING_TIMEOUT_S: Final = 300.0
_START_TIMEOUT_S: Final = 90.0
_STOP_TIMEOUT_S: Final = 20.0
_FORWARD_TIMEOUT_S: Final = 10.0


class Demo:
    """One run of the demo. `stop` is set by whoever wants it to end."""

    def __init__(self, settings: Settings, example: Example, report: Report, stop: threading.Event) -> None:
        self._settings, self._example, self._report, self._stop = settings, example, report, stop
        self._otlp, self._metrics, self._own = _free_ports(3)
        # The user's own OTEL_* variables would send the demo's telemetry elsewhere, or leave out requests.
        clean = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        path = os.pathsep.join(part for part in (str(example.root), clean.get("PYTHONPATH", "")) if part)
        self._env = clean | {"PYTHONPATH": path}

    def run(self) -> int:
        """Runs to the end; returns the exit status.

        Raises:
            ChildError: a process ended that was needed.
        """
        with ExitStack() as children:
            self._report.say(*self._title())
            if not self._train(children):
                return INTERRUPTED
            sidecar = children.enter_context(self._start_sidecar())
            service = children.enter_context(self._start_service())
            client = Client(self._own)
            requests = script(_images(self._example))  # drawn while the others start
            if not self._await_all(sidecar, service, client):
                return INTERRUPTED
            self._report.say(*self._addresses())
            self._drive(Traffic(client, requests, self._settings.rate), sidecar, service, client)
            return 0 if self._check(sidecar, service, client) else 1

    def _title(self) -> list[str]:
        settings = self._settings
        until = "until Ctrl-C" if settings.seconds is None else f"for {settings.seconds:g} s"
        workers = f"{settings.workers} worker{'s' if settings.workers > 1 else ''}"
        return [f"Cat or dog? {workers}, one sidecar, {settings.rate} requests per second {until}"]

    def _addresses(self) -> list[str]:
        return [
            f"  live page   http://{_LOOPBACK}:{self._metrics}/",
            f"  metrics     http://{_LOOPBACK}:{self._metrics}/metrics",
            f"  service     http://{_LOOPBACK}:{self._own}/  (drop a picture on it)",
            *(f"  traces to   {target.url}" for target in self._settings.forward),
        ]

    def _train(self, children: ExitStack) -> bool:
        """Makes sure that the model is in the cache, in a process of its own that a signal can end."""
        self._report.say("  model       trained once, then kept in your cache folder ...")
        command = [sys.executable, "-P", "-m", f"{self._example.package}.training"]
        training = children.enter_context(Child("the training", command, self._env))
        if not self._until(lambda: training.status() is not None, _TRAINING_TIMEOUT_S, "the training to end"):
            return False
        if training.status():
            training.need()
        self._report.say(f"              {training.last_lines().strip()}")
        return True

    def _start_sidecar(self) -> Child:
        command = [sys.executable, "-P", "-m", "sidecar", "serve", "--grpc", "off"]
        command += ["--http", f"{_LOOPBACK}:{self._otlp}", "--metrics", f"{_LOOPBACK}:{self._metrics}"]
        command += ["--contract", str(self._example.contract), "--recent-bytes", _RECENT_BYTES]
        command += ["--log-level", "warning", "--until-stdin-closes"]
        for target in self._settings.forward:
            command += ["--forward", target.url]
        return Child("the sidecar", command, self._env)

    def _start_service(self) -> Child:
        app = f"{self._example.package}.app:app"
        command = [sys.executable, "-P", "-m", "sidecar.demo.service", app, str(self._own), str(self._settings.workers)]
        # Exported every second, not every five, so that the page moves with the traffic.
        telemetry = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{_LOOPBACK}:{self._otlp}",
            "OTEL_SIDECAR_METRICS": f"{_LOOPBACK}:{self._metrics}",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_BSP_SCHEDULE_DELAY": "500",
        }
        return Child("the service", command, self._env | telemetry)

    def _await_all(self, sidecar: Child, service: Child, client: Client) -> bool:
        def sidecar_answers() -> bool:
            sidecar.need()
            return self._get("/readyz") is not None

        def service_answers() -> bool:
            service.need()
            return client.send(Request("GET", "/health")) == 200

        return self._until(sidecar_answers, _START_TIMEOUT_S, "the sidecar to answer") and self._until(
            service_answers, _START_TIMEOUT_S, "the service to answer"
        )

    def _drive(self, traffic: Traffic, sidecar: Child, service: Child, client: Client) -> None:
        begun = time.monotonic()
        end = begun + self._settings.seconds if self._settings.seconds else float("inf")
        traffic.start()
        try:
            while time.monotonic() < end and not self._stop.wait(min(1.0, max(0.0, end - time.monotonic()))):
                sidecar.need()
                service.need()
                if summary := self._get("/api/summary"):
                    self._report.progress(time.monotonic() - begun, client.sent(), json.loads(summary))
        finally:
            traffic.stop()

    def _check(self, sidecar: Child, service: Child, client: Client) -> bool:
        """Stops the service, whose workers export what they have left, and compares the books."""
        self._report.say("", "Stopping the service, then comparing:")
        if not service.stop(_STOP_TIMEOUT_S):
            raise ChildError(f"the service did not stop within {_STOP_TIMEOUT_S:g} s:\n{service.last_lines()}")
        sidecar.need()
        forwarded = self._check_forwarded()
        exposition, summary = self._get("/metrics"), self._get("/api/summary")
        if exposition is None or summary is None:
            raise ChildError(f"the sidecar does not answer:\n{sidecar.last_lines()}")
        tally = client.tally
        found = verdict.check(
            tally.answered, tally.unanswered, verdict.requests_on(exposition.decode()), json.loads(summary)
        )
        ok = found.ok and forwarded.ok
        conclusion = "OK: every request was counted once and traced once." if ok else "The books do not agree."
        self._report.say(*(f"  {line}" for line in (*found.lines, *forwarded.lines)), conclusion)
        sidecar.stop(_STOP_TIMEOUT_S)
        return ok

    def _check_forwarded(self) -> Verdict:
        """Waits a little for the last spans to reach the targets."""
        targets = [target.url for target in self._settings.forward]
        deadline = time.monotonic() + _FORWARD_TIMEOUT_S
        while True:
            ledger = json.loads(self._get("/ledger") or b'{"accounts": []}')
            found = verdict.check_forwarded(ledger, targets)
            if found.ok or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def _until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> bool:
        """Waits; False when asked to stop meanwhile.

        Raises:
            ChildError: it did not come in time.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise ChildError(f"waited {timeout_s:g} s in vain for {what}")
            if self._stop.wait(0.05):
                return False
        return True

    def _get(self, path: str) -> bytes | None:
        """What the sidecar's metrics address answers; None when it does not, or not with 200."""
        connection = http.client.HTTPConnection(_LOOPBACK, self._metrics, timeout=10)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException):
            return None
        else:
            return body if reply.status == 200 else None
        finally:
            connection.close()


def _images(example: Example) -> Any:
    """The example's module of pictures; its folder goes first, for the user's may have an `examples` of its own."""
    sys.path.insert(0, str(example.root))
    try:
        return import_module(f"{example.package}.images")
    finally:
        sys.path.remove(str(example.root))


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different."""
    probes = [socket.create_server((_LOOPBACK, 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
