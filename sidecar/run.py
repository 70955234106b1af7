"""`otel-sidecar run -- CMD`: any service, untouched, with a sidecar beside it that can't hurt it.

This process stays small and does little: it starts the sidecar and the service as its children, passes signals to the
service, starts a sidecar again that ended, and ends with the service's exit status. As process 1 of a container it also
reaps orphans.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from sidecar.beside import USAGE, Beside
from sidecar.child_env import Addresses, child_env, hints
from sidecar.listen import free_address
from sidecar.options import OptionError, ServeOptions, as_arguments, is_given, read_options
from sidecar.say import say
from sidecar.values import Address

# Everything a server is steered with; gunicorn scales by SIGTTIN and SIGTTOU and reopens logs at SIGUSR1.
_PASSED = tuple(
    getattr(signal, name)
    for name in (
        "SIGINT",
        "SIGTERM",
        "SIGHUP",
        "SIGQUIT",
        "SIGUSR1",
        "SIGUSR2",
        "SIGWINCH",
        "SIGTTIN",
        "SIGTTOU",
        "SIGCONT",
    )
    if hasattr(signal, name)
)
_ENDING = (signal.SIGINT, signal.SIGTERM)
# The terminal itself sends these to everyone in the foreground, the service included.
_FROM_TERMINAL = {signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH}
_READY_TIMEOUT_S = 8.0
# What the sidecar's receivers get for finishing requests, on top of --drain-timeout, and something for luck.
_STOP_EXTRA_S = 5.0
_TRIES = 3
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # as a shell says it


def run(flags: argparse.Namespace, command: Sequence[str], env: Mapping[str, str]) -> int:
    """Runs the command with a sidecar; returns the command's exit status.

    Raises:
        OptionError: a setting can't be used; nothing has been started then.
    """
    if not command:
        raise OptionError("no command; it goes behind --, as in: otel-sidecar run -- uvicorn app:app")
    options = read_options(flags, env)

    def beside_at(wished: Addresses) -> tuple[Addresses, Beside]:
        addresses = _free(wished, flags, env)
        return addresses, _beside(options, flags, addresses)

    return Run(command, env, Addresses(options.grpc, options.http, options.metrics), beside_at).run()


def _free(wished: Addresses, flags: argparse.Namespace, env: Mapping[str, str]) -> Addresses:
    """The addresses wished for; where nobody asked for one and it is taken, a free port instead.

    Raises:
        OptionError: one that was asked for can't be had.
    """

    def choose(name: str, address: Address) -> Address:
        try:
            return free_address(name, address)
        except OptionError:
            if is_given(name, flags, env):
                raise
            free = free_address(name, replace(address, port=0))
            say(f"{address} is taken; --{name} is {free}")
            return free

    return Addresses(
        grpc=choose("grpc", wished.grpc) if wished.grpc else None,
        http=choose("http", wished.http) if wished.http else None,
        metrics=choose("metrics", wished.metrics),
    )


def _beside(options: ServeOptions, flags: argparse.Namespace, addresses: Addresses) -> Beside:
    given = argparse.Namespace(**vars(flags))
    for name, address in {"grpc": addresses.grpc, "http": addresses.http, "metrics": addresses.metrics}.items():
        setattr(given, name, "off" if address is None else str(address))
    # -P: the service's folder may have a `sidecar` of its own.
    serve = [sys.executable, "-P", "-m", "sidecar", "serve", *as_arguments(given), "--until-stdin-closes"]
    return Beside(serve, addresses.metrics, options.drain_timeout + _STOP_EXTRA_S)


class Run:
    """One service with its sidecar."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        wished: Addresses,
        beside_at: Callable[[Addresses], tuple[Addresses, Beside]],
    ) -> None:
        """`beside_at`: a sidecar, not started, at the addresses wished for or at free ones, and which they are."""
        self._command = list(command)
        self._env = env
        self._beside_at = beside_at
        self._addresses, self._beside = beside_at(wished)
        self._service: subprocess.Popen[bytes] | None = None
        self._came: list[int] = []

    def run(self) -> int:
        """Runs the service to its end; returns its exit status, 128 + n when signal n ended it.

        2 when the sidecar's settings can't be used: that is the user's to mend, and nothing has been started then.
        """
        self._wakeup, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (*_PASSED, signal.SIGCHLD):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish is the service's as well
                signal.signal(number, lambda came, _: self._came.append(came))
        status = self._start_beside()
        if status is None:
            status = self._run_service()
        self._stop_beside()
        return status

    def _start_beside(self) -> int | None:
        """Starts the sidecar; returns the status to end with when the service is not to be started."""
        for _ in range(_TRIES):
            self._beside.start()
            ended_by = self._await_ready()
            if ended_by:
                return 128 + ended_by
            if not self._beside.unusable:
                self._beside.awaited = False
                return None
            # Two of us that start at once choose the same ports, and one of them is late.
            before = self._addresses
            self._addresses, self._beside = self._beside_at(before)
            if self._addresses == before:
                break
        say("the sidecar's settings can't be used; nothing is started")
        return USAGE

    def _await_ready(self) -> int:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while self._beside.running and not self._beside.ready():
            if time.monotonic() > deadline:
                say("the sidecar is not ready; the service starts without it, and its telemetry is lost until it is")
                return 0
            self._wait(0.05)
            for number in self._take_signals():
                if number in _ENDING:
                    return number
        return 0

    def _run_service(self) -> int:
        for hint in hints(self._env, self._addresses):
            say(hint)
        try:
            self._service = subprocess.Popen(self._command, env=child_env(self._env, self._addresses))
        except FileNotFoundError:
            say(f"command not found: {self._command[0]}")
            return _NOT_FOUND
        except OSError as error:
            say(f"{self._command[0]} can't be started: {error.strerror}")
            return _NOT_EXECUTABLE
        while self._service.returncode is None:
            self._wait(self._beside.next_turn_s())
            self._beside.turn()
            for number in self._take_signals():
                if not (number in _FROM_TERMINAL and _in_foreground()):
                    with suppress(ProcessLookupError):
                        os.kill(self._service.pid, number)
        code = self._service.returncode
        return 128 - code if code < 0 else code

    def _stop_beside(self) -> None:
        """Lets the sidecar send on what the service told it last."""
        self._beside.stop()
        while self._beside.running:
            self._wait(0.2)
            self._beside.turn()
            for number in self._take_signals():
                if number in _ENDING:
                    self._beside.signal(number)

    def _take_signals(self) -> list[int]:
        came, self._came = self._came, []
        return [number for number in came if number != signal.SIGCHLD]

    def _wait(self, seconds: float) -> None:
        """Sleeps until the time is over or a signal comes, then takes note of every child that ended."""
        if select.select([self._wakeup], [], [], seconds)[0]:
            os.read(self._wakeup, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            if self._service is not None and pid == self._service.pid:
                self._service.returncode = code
            else:
                self._beside.reaped(pid, code)


def _in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
