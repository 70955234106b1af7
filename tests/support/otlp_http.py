"""A real HTTP server that answers exports as a test tells it, so that clients are tried against sockets, not mocks."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.processes import LOOPBACK


@dataclass(frozen=True)
class Answer:
    """What the server says to one request; `before` is called first and may wait."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False
    before: Callable[[], object] | None = None


@dataclass(frozen=True)
class Asked:
    """One request as it came; `connection` tells connections apart."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: tuple[str, int]


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for every answer

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self.asked: list[Asked] = []
        self.script: list[Answer] = []
        self.connections: set[socket.socket] = set()
        self._tls = tls
        super().__init__((LOOPBACK, port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._tls is not None:
            # The handshake is done by the first read, in the handler's thread.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.connections.add(connection)
        return connection, address

    def handle_error(self, *_: Any) -> None:
        """Clients of these tests hang up and refuse certificates on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(Asked(self.path, headers, body, self.client_address))
        answer = self.server.script.pop(0) if self.server.script else Answer()
        if answer.before:
            answer.before()
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        if answer.close:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(answer.body)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


class OtlpHttpServer:
    """Runs until `stop`; answers 200 with an empty body when the script is empty."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._server = _Server(port, tls)
        self.port = int(self._server.server_address[1])
        self.asked = self._server.asked
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def say(self, *answers: Answer) -> None:
        """Adds to the script."""
        self._server.script += answers

    def hang_up(self) -> None:
        """Closes every open connection, as an idle timeout does."""
        for connection in tuple(self._server.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Closes the port and every connection."""
        self._server.shutdown()
        self.hang_up()
        self._server.server_close()
        self._thread.join()


@contextmanager
def otlp_http(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[OtlpHttpServer]:
    """A server for the length of a block."""
    server = OtlpHttpServer(port, tls)
    try:
        yield server
    finally:
        server.stop()
