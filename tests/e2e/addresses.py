"""Free loopback addresses, several at once, for programs that listen on many ports."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tests.support.processes import LOOPBACK


def free_addresses(*names: str) -> dict[str, str]:
    """One `host:port` per name; all ports are held while they are chosen, so no two are the same."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in names]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return {name: f"{LOOPBACK}:{probe.getsockname()[1]}" for name, probe in zip(names, probes, strict=True)}
