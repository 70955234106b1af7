"""Starts real programs on free loopback ports and ends only those, so that tests can use the real thing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A port nobody listens on now; the caller binds it soon."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], T], what: str, timeout_s: float = 20.0, every_s: float = 0.02) -> T:
    """Returns the condition's first truthy value; fails naming `what` when none came in time."""
    deadline = time.monotonic() + timeout_s
    last: BaseException | None = None
    while time.monotonic() < deadline:
        try:
            value = condition()
        except (OSError, AssertionError) as error:
            last = error
        else:
            if value:
                return value
        time.sleep(every_s)
    raise AssertionError(f"waited {timeout_s} s in vain for {what}" + (f": {last!r}" if last else ""))


@dataclass
class Reply:
    """An HTTP answer, errors included."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        return self.body.decode()


def http(
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
    timeout_s: float = 10.0,
) -> Reply:
    """One request with the standard library; a 4xx or 5xx is an answer, not an exception."""
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310 - loopback URLs of tests
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as reply:  # noqa: S310
            return Reply(reply.status, reply.read(), {k.lower(): v for k, v in reply.headers.items()})
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read(), {k.lower(): v for k, v in error.headers.items()})


@dataclass
class Program:
    """A running child process with what it has printed so far (stdout and stderr together)."""

    process: subprocess.Popen[bytes]
    name: str
    _chunks: list[bytes] = field(default_factory=list)
    _reader: threading.Thread | None = None

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._chunks.append(line)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return b"".join(self._chunks).decode(errors="replace")

    def wait_url(self, url: str, timeout_s: float = 30.0) -> None:
        """Waits until the URL answers 200; fails with the program's output when it ends before."""

        def answers() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.process.returncode}:\n{self.output}")
            return http(url, timeout_s=2).status == 200

        try:
            wait_for(answers, f"{self.name} at {url}", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from error

    def stop(self, sig: int = signal.SIGTERM, timeout_s: float = 15.0) -> int:
        """Signals it, waits for its end and returns the exit status; SIGKILL when it does not listen."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} ignored signal {sig}:\n{self.output}") from None
        finally:
            if self._reader:
                self._reader.join(5)
            if self.process.stdout and self._reader and not self._reader.is_alive():
                self.process.stdout.close()
        return status


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    name: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Program]:
    """Runs a command as a process group of its own and ends that group, and nothing else, at the end."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd or ROOT,
        env={**clean_env(), **(env or {})},
        start_new_session=True,
    )
    program = Program(process, name or str(command[0]))
    program._reader = threading.Thread(target=program._collect, daemon=True)
    program._reader.start()
    try:
        yield program
    finally:
        try:
            program.stop()
        finally:
            # Workers whose parent was killed by the test live on in its group.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def clean_env() -> dict[str, str]:
    """This process's environment without telemetry variables, so that a test sets all that matter."""
    return {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")} | {"PYTHONUNBUFFERED": "1"}


def python(*arguments: str | Path) -> list[str]:
    """A command line for this environment's interpreter."""
    return [sys.executable, *map(str, arguments)]
