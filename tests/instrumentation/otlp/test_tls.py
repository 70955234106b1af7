from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from instrumentation.otlp.client import OtlpClient, Outcome, Posted
from instrumentation.otlp.settings import OtlpSettings, OtlpSignal
from tests.support.otlp_http import otlp_http
from tests.support.processes import LOOPBACK

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")


@dataclass(frozen=True)
class Identity:
    certificate: Path
    key: Path


def identity(folder: Path, name: str) -> Identity:
    made = Identity(folder / f"{name}.pem", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{LOOPBACK},DNS:localhost"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def server_identity(folder: Path) -> Identity:
    return identity(folder, "server")


@pytest.fixture(scope="module")
def client_identity(folder: Path) -> Identity:
    return identity(folder, "client")


def server_context(shown: Identity, trusted: Identity | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.certificate, shown.key)
    if trusted:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(trusted.certificate)
    return context


@contextmanager
def client(port: int, **options: object) -> Iterator[OtlpClient]:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"https://{LOOPBACK}:{port}", "OTEL_EXPORTER_OTLP_TIMEOUT": "3"}
    environ |= {f"OTEL_EXPORTER_OTLP_{name}": str(value) for name, value in options.items()}
    made = OtlpClient(replace(OtlpSettings.read(environ, OtlpSignal.TRACES), final_timeout_s=0.3))
    try:
        yield made
    finally:
        made.shutdown()


def post(sender: OtlpClient, body: bytes = b"body", timeout_s: float | None = None) -> Posted:
    return sender.post(body, sender.deadline(timeout_s))


def test_exports_over_tls_share_a_connection_and_survive_its_end(server_identity: Identity) -> None:
    with (
        otlp_http(tls=server_context(server_identity)) as server,
        client(server.port, CERTIFICATE=server_identity.certificate) as sender,
    ):
        assert [post(sender), post(sender, bytes(4 << 20))] == [Posted(Outcome.OK)] * 2
        server.hang_up()
        assert post(sender) == Posted(Outcome.OK)
    first, second, third = (asked.connection for asked in server.asked)
    assert first == second != third


def test_a_server_nobody_vouches_for_is_refused_at_once(server_identity: Identity, client_identity: Identity) -> None:
    for options in ({}, {"CERTIFICATE": client_identity.certificate}):
        with otlp_http(tls=server_context(server_identity)) as server, client(server.port, **options) as sender:
            began = time.monotonic()
            posted = post(sender)
            assert (posted.outcome, posted.reason) == (Outcome.PERMANENT, "tls")
            assert "certificate verify failed" in posted.words
            assert time.monotonic() - began < 2
        assert not server.asked


def test_a_server_that_asks_for_a_certificate_gets_it(server_identity: Identity, client_identity: Identity) -> None:
    with (
        otlp_http(tls=server_context(server_identity, client_identity)) as server,
        client(
            server.port,
            CERTIFICATE=server_identity.certificate,
            CLIENT_CERTIFICATE=client_identity.certificate,
            CLIENT_KEY=client_identity.key,
        ) as sender,
    ):
        assert post(sender) == Posted(Outcome.OK)


def test_a_missing_certificate_file_is_named(folder: Path, server_identity: Identity) -> None:
    missing = folder / "missing.pem"
    with otlp_http(tls=server_context(server_identity)) as server, client(server.port, CERTIFICATE=missing) as sender:
        posted = post(sender)
    assert (posted.outcome, posted.reason) == (Outcome.PERMANENT, "tls")
    assert f"OTEL_EXPORTER_OTLP_CERTIFICATE={missing}" in posted.words
    assert "No such file" in posted.words


def test_certificates_may_be_rotated_while_the_service_runs(
    folder: Path, server_identity: Identity, client_identity: Identity
) -> None:
    trusted = folder / "trusted.pem"
    trusted.write_bytes(client_identity.certificate.read_bytes())
    with otlp_http(tls=server_context(server_identity)) as server, client(server.port, CERTIFICATE=trusted) as sender:
        assert post(sender).reason == "tls"
        trusted.write_bytes(server_identity.certificate.read_bytes())
        assert post(sender) == Posted(Outcome.OK)


def test_a_server_without_tls_is_a_tls_failure() -> None:
    with otlp_http() as server, client(server.port) as sender:
        assert post(sender, timeout_s=1).reason in {"tls", "connection"}


def test_a_handshake_that_never_ends_is_bounded_by_the_shutdown() -> None:
    with socket.socket() as listener, ThreadPoolExecutor() as pool:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        with client(listener.getsockname()[1]) as sender:
            waiting = pool.submit(post, sender)
            with listener.accept()[0] as connection:
                assert connection.recv(1)
                began = time.monotonic()
                sender.shutdown()
                assert waiting.result(5).reason == "timeout"
                assert time.monotonic() - began < 1.5
