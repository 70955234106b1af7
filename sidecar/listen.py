"""Takes the addresses before anything serves, so that a port in use is one clear sentence and not half a sidecar."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from dataclasses import replace

from sidecar.options import ENV_PREFIX, OptionError
from sidecar.values import Address

_BACKLOG = 2048
_REASONS = {
    errno.EADDRINUSE: "another process listens there; choose another address",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "not allowed to listen there; ports below 1024 need a privilege",
}


def listen(option: str, address: Address) -> list[socket.socket]:
    """Listening sockets for every IP address of the host; port 0 is the same free port for all.

    Raises:
        OptionError: the address can't be had; names the option.
    """
    sockets: list[socket.socket] = []
    port = address.port
    with ExitStack() as undo:
        for family, host in _resolve(option, address):
            dual = address.host == "::" and socket.has_dualstack_ipv6()
            try:
                taken = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=dual)
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL and sockets:
                    continue  # `localhost` may also name an address family that is switched off
                raise unavailable(option, address, error) from error
            undo.enter_context(taken)
            sockets.append(taken)
            port = taken.getsockname()[1]
        undo.pop_all()
    return sockets


def free_address(option: str, address: Address) -> Address:
    """The address, with a real port for 0, when it can be had now; for those who bind it later and say less.

    Raises:
        OptionError: it can't be had; names the option.
    """
    sockets = listen(option, address)
    port = sockets[0].getsockname()[1]
    for taken in sockets:
        taken.close()
    return replace(address, port=port)


def unavailable(option: str, address: Address, error: OSError) -> OptionError:
    """What to tell about an address that can't be had."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    variable = ENV_PREFIX + option.upper()
    return OptionError(f"--{option} {address} (or {variable}): {reason}")


def _resolve(option: str, address: Address) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise unavailable(option, address, error) from error
    return sorted({(family, str(where[0])) for family, _, _, _, where in found})
