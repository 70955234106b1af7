"""The sidecar as a child process: started, asked whether it is ready, started again, stopped; never waited for long."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from sidecar.say import say
from sidecar.values import Address

_RESTARTS = 5
_STEADY_S = 60.0
#: How a sidecar ends whose settings can't be used.
USAGE = 2


class Beside:
    """One sidecar process and its restarts. The caller reaps children and reports them with `reaped`."""

    def __init__(self, command: Sequence[str], metrics: Address, stop_timeout_s: float) -> None:
        """`metrics`: where it answers /readyz; `stop_timeout_s`: after which it is killed."""
        self._command = list(command)
        self._metrics = metrics
        self._stop_timeout_s = stop_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._restarts = 0
        self._due: float | None = None
        self._last_code = 0
        self._kill_at: float | None = None
        self.awaited = True  # until the service has been started without or with it
        self.given_up = False

    @property
    def unusable(self) -> bool:
        """Whether it ended, while awaited, because its settings can't be used; it has said why itself."""
        return self.awaited and self.given_up and self._last_code == USAGE

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None

    def start(self) -> None:
        """Starts the process, in a session of its own: Ctrl-C in a terminal is the service's."""
        self._due = None
        self._started = time.monotonic()
        try:
            # Standard input stays open as long as this process lives; its end tells the sidecar that nobody will.
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)
        except OSError as error:
            say(f"the sidecar can't be started, and the service goes on without it: {error}")
            self.given_up = True

    def ready(self) -> bool:
        """Whether /readyz answers 200."""
        try:
            with socket.create_connection((self._metrics.host, self._metrics.port), timeout=1) as connection:
                connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                return connection.recv(16).split(b" ")[1:2] == [b"200"]
        except OSError:
            return False

    def reaped(self, pid: int, code: int) -> None:
        """A child of this process has ended; unless it is the sidecar, that is no matter."""
        if self._process is None or pid != self._process.pid:
            return
        self._process.returncode = code
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None
        self._last_code = code
        if self._kill_at is not None:
            return
        if time.monotonic() - self._started > _STEADY_S:
            self._restarts = 0
        if code == USAGE or self._restarts >= _RESTARTS:
            self.given_up = True
            if not self.unusable:
                say(f"the sidecar ended with status {code} and is not started again; the service goes on without it")
            return
        delay = float(2**self._restarts)
        self._restarts += 1
        self._due = time.monotonic() + delay
        say(f"the sidecar ended with status {code}; it is started again in {delay:g} s, the service goes on without it")

    def next_turn_s(self) -> float:
        """Seconds until `turn` has something to do."""
        return 60.0 if self._due is None else max(0.0, self._due - time.monotonic())

    def turn(self) -> None:
        """Does what is due: starting again, or killing what does not stop."""
        now = time.monotonic()
        if self._due is not None and now >= self._due:
            self.start()
        if self._kill_at is not None and now >= self._kill_at and self._process is not None:
            say("the sidecar does not stop and is killed")
            self.signal(signal.SIGKILL)

    def stop(self) -> None:
        """Asks it to stop; the caller goes on calling `turn` until it is no longer `running`."""
        self._due = None
        self._kill_at = time.monotonic() + self._stop_timeout_s
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        if self._process is not None:
            # Not Popen.send_signal, which would reap the process behind the caller's back.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)
