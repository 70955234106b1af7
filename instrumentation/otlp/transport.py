"""Sockets whose every wait asks how much time is left, because an export's deadline may move closer while it waits.

`http.client` over a plain socket knows a timeout per system call only: a peer that sends a byte now and then holds an
export for ever, and a shutdown cannot shorten a wait that has begun. Here each wait is cut in slices of 0.1 s, and the
time left is asked for between them. No other thread has to touch the socket. Only the resolution of a host's name
can't be cut short: it is the C library's.
"""

from __future__ import annotations

import errno
import http.client
import os
import selectors
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from instrumentation.otlp.endpoint import Endpoint

_SLICE_S: Final = 0.1
_UNDER_WAY: Final = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})

TimeLeft = Callable[[], float]
_Result = TypeVar("_Result")


def _no_time() -> float:
    return 0.0


class _Patient(socket.socket):
    """A socket that waits as long as `time_left` (seconds) is above zero; then it raises TimeoutError."""

    time_left: TimeLeft = staticmethod(_no_time)

    def patiently(self, call: Callable[..., _Result], *arguments: Any) -> _Result:
        """Calls until it does not time out; only for calls that can be repeated after a timeout."""
        while (left := self.time_left()) > 0:
            self.settimeout(min(left, _SLICE_S))
            try:
                return call(*arguments)
            except TimeoutError:
                continue
        raise TimeoutError("no answer in time")

    def recv_into(self, *arguments: Any, **options: Any) -> int:
        """What `makefile` reads with."""
        return self.patiently(lambda: super(_Patient, self).recv_into(*arguments, **options))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """In pieces: after a timeout a plain `sendall` does not say how much was sent."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self.patiently(self.send, rest, flags) :]

    def connect_to(self, address: Any) -> None:
        """Connects to an address as `getaddrinfo` gives it."""
        self.setblocking(False)
        code = self.connect_ex(address)
        if code in _UNDER_WAY:
            with selectors.DefaultSelector() as selector:
                selector.register(self, selectors.EVENT_WRITE)
                while not selector.select(max(0.0, min(self.time_left(), _SLICE_S))):
                    if self.time_left() <= 0:
                        raise TimeoutError("no connection in time")
            code = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))


class _PatientTls(_Patient, ssl.SSLSocket):
    """The same over TLS; OpenSSL lets a timed-out call be repeated."""


class Connection(http.client.HTTPConnection):
    """One HTTP/1.1 connection to an endpoint.

    Args:
        endpoint: where to.
        tls: makes the TLS context for a secure endpoint, at each connection anew: certificates may be rotated.
    """

    def __init__(self, endpoint: Endpoint, tls: Callable[[], ssl.SSLContext]) -> None:
        super().__init__(endpoint.host, endpoint.port)
        self._endpoint = endpoint
        self._tls = tls
        self._time_left: TimeLeft = _no_time
        self.sock: _Patient | None = None

    def allow(self, time_left: TimeLeft) -> None:
        """Says how long the next exchange may take."""
        self._time_left = time_left
        if self.sock is not None:
            self.sock.time_left = time_left

    def connect(self) -> None:
        """Tries the host's addresses in turn, each with an equal share of the time left.

        Raises:
            OSError: the last address's failure.
        """
        context = self._tls() if self._endpoint.secure else None
        host, port = self._endpoint.host, self._endpoint.port
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure: OSError = ConnectionError(f"{host} has no address")
        for index, address in enumerate(addresses):
            try:
                self.sock = self._reach(address, 1 - 1 / (len(addresses) - index), context)
            except OSError as error:
                failure = error
            else:
                return
        raise failure

    def _reach(self, found: Any, kept: float, context: ssl.SSLContext | None) -> _Patient:
        """A connected socket to what `getaddrinfo` found; that share of the time is kept for the addresses after it."""
        family, kind, protocol, _, address = found
        kept_s = self._time_left() * kept
        sock = _Patient(family, kind, protocol)
        try:
            sock.time_left = lambda: self._time_left() - kept_s
            sock.connect_to(address)
            sock.time_left = self._time_left
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock if context is None else self._secured(sock, context)
        except BaseException:
            sock.close()
            raise

    def _secured(self, sock: _Patient, context: ssl.SSLContext) -> _PatientTls:
        context.sslsocket_class = _PatientTls
        wrapped = cast(
            "_PatientTls",
            context.wrap_socket(sock, server_hostname=self._endpoint.host, do_handshake_on_connect=False),
        )
        try:
            wrapped.time_left = self._time_left
            wrapped.patiently(wrapped.do_handshake)
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def stale(self) -> bool:
        """Whether the server has hung up on an idle connection, as far as this side knows."""
        if self.sock is None:
            return True
        if isinstance(self.sock, ssl.SSLSocket):
            return False  # a peek is not to be had; the client's second try finds out
        self.sock.setblocking(False)
        try:
            # Nothing is due here: an end, an error and unasked-for bytes all make the connection useless.
            self.sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return True

    def abandon(self) -> None:
        """Closes this process's descriptor of a connection that is the parent process's.

        Nothing is sent, and no buffered file is touched: the thread that held its lock does not exist in a child.
        """
        if self.sock is not None and (descriptor := self.sock.detach()) >= 0:
            os.close(descriptor)
