"""The demo's child processes, which end with it however it ends: by the end of standard input, a signal, or a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

_SHOWN = 25


class ChildError(Exception):
    """A child ended, or never began, when it was needed; the text has its last lines."""


class Child:
    """One program, its output kept aside; use it as a context manager.

    It is a session of its own, so that Ctrl-C in a terminal reaches the demo alone, which stops its children in order.
    Its standard input is a pipe that nobody writes to: its end tells the child that the demo is gone.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            list(command),
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process id, which is that of its group too."""
        return self._process.pid

    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def need(self) -> None:
        """Raises ChildError when it has ended."""
        if self.status() is not None:
            raise ChildError(f"{self.name} ended with status {self.status()}:\n{self.last_lines()}")

    def last_lines(self) -> str:
        """The end of what it has printed."""
        self._output.flush()
        lines = os.pread(self._output.fileno(), 1 << 20, 0).decode(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-_SHOWN:])

    def stop(self, timeout_s: float) -> bool:
        """Asks it to end and waits; returns whether it did in time. Called again it does nothing."""
        if self.status() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Ends it and everything it started."""
        # Workers whose parent is gone live on in its group, so the group is ended even when the parent has ended.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._output.close()
