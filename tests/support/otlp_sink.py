"""A real OTLP target, HTTP and gRPC, that decodes what it gets with protobuf and answers as a test tells it."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from sidecar.batch import Signal
from tests.support.otlp_requests import REQUESTS, items_of
from tests.support.processes import LOOPBACK

_SERVICES = {
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}


@dataclass(frozen=True)
class Answer:
    """What the sink says; `grpc` is used where it speaks gRPC. `delay_s` comes before it."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    grpc: grpc.StatusCode = grpc.StatusCode.OK
    trailers: tuple[tuple[str, bytes], ...] = ()
    delay_s: float = 0.0


OK = Answer()
BAD = Answer(400, grpc=grpc.StatusCode.INVALID_ARGUMENT)


@dataclass
class Sink:
    """What came in, and what to say.

    Attributes:
        decide: the answer to a signal's body; None for the default: 400 for what protobuf can't read, 200 otherwise.
        requests: signal, body and headers of every request that was answered with success.
        tries: sizes of all bodies, whatever the answer.
    """

    port: int = 0
    decide: Callable[[Signal, bytes], Answer | None] = lambda _signal, _body: None
    requests: list[tuple[Signal, bytes, dict[str, str]]] = field(default_factory=list)
    tries: list[int] = field(default_factory=list)

    def answer(self, signal: Signal, body: bytes, headers: dict[str, str]) -> Answer:
        self.tries.append(len(body))
        answer = self.decide(signal, body)
        if answer is None:
            try:
                REQUESTS[signal].FromString(body)
                answer = OK
            except DecodeError:
                answer = BAD
        time.sleep(answer.delay_s)
        if answer.status == 200 and answer.grpc is grpc.StatusCode.OK:
            self.requests.append((signal, body, headers))
        return answer

    def items(self, signal: Signal = Signal.TRACES) -> list[Any]:
        """Spans or log records that have arrived."""
        found = []
        for kind, body, _ in tuple(self.requests):
            if kind is signal:
                found += items_of(signal, REQUESTS[signal].FromString(body))
        return found


@dataclass(frozen=True)
class Identity:
    """A certificate for loopback, signed by itself, and its key."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Identity:
        """Has the openssl program make one."""
        made = cls(folder / "sink.pem", folder / "sink.key")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=sink", "-addext", f"subjectAltName=IP:{LOOPBACK}"]
        command += ["-keyout", str(made.key), "-out", str(made.certificate)]
        subprocess.run(command, check=True, capture_output=True)
        return made


@contextmanager
def http_sink(port: int = 0, tls: Identity | None = None) -> Iterator[Sink]:
    """An OTLP/HTTP target."""
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = sink.answer(Signal(self.path.rpartition("/")[2]), body, headers)
            self.send_response(answer.status)
            for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    server.daemon_threads = True  # kept connections end with the test
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.certificate, tls.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    sink.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def grpc_sink(port: int = 0, tls: Identity | None = None) -> Iterator[Sink]:
    """An OTLP/gRPC target with grpc's own limit of 4 MiB a message."""
    sink = Sink()

    def handler(signal: Signal) -> Any:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            headers = {str(key): str(value) for key, value in context.invocation_metadata()}
            answer = sink.answer(signal, body, headers)
            if answer.grpc is not grpc.StatusCode.OK:
                context.set_trailing_metadata(answer.trailers)
                _abort(context, answer.grpc)
            return answer.body

        return grpc.unary_unary_rpc_method_handler(export)

    server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(service, {"Export": handler(signal)})
            for signal, service in _SERVICES.items()
        )
    )
    where = f"{LOOPBACK}:{port}"
    if tls:
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        sink.port = server.add_secure_port(where, grpc.ssl_server_credentials([pair]))
    else:
        sink.port = server.add_insecure_port(where)
    server.start()
    try:
        yield sink
    finally:
        server.stop(0).wait()


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode) -> NoReturn:
    context.abort(code, f"told to say {code.name}")
