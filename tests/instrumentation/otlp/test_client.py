from __future__ import annotations

import gzip
import http.client
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import pytest
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from instrumentation.otlp.client import OtlpClient, Outcome, Posted
from instrumentation.otlp.settings import OtlpSettings, OtlpSignal
from tests.support.otlp_http import Answer, OtlpHttpServer, otlp_http
from tests.support.processes import LOOPBACK, free_port, wait_for

OK = Posted(Outcome.OK)


@pytest.fixture
def server() -> Iterator[OtlpHttpServer]:
    with otlp_http() as running:
        yield running


@contextmanager
def client(port: int, *, jitter: Callable[[], float] = lambda: 0.0, **options: str) -> Iterator[OtlpClient]:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{port}", "OTEL_EXPORTER_OTLP_TIMEOUT": "5"}
    environ |= {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in options.items()}
    settings = replace(OtlpSettings.read(environ, OtlpSignal.TRACES), final_timeout_s=0.3)
    assert not settings.problems
    made = OtlpClient(settings, jitter=jitter)
    try:
        yield made
    finally:
        made.shutdown()


def post(sender: OtlpClient, body: bytes = b"body", timeout_s: float | None = None) -> Posted:
    return sender.post(body, sender.deadline(timeout_s))


class Peer:
    """A bare listening socket: what it says and when is the test's."""

    def __init__(self, backlog: int = 8) -> None:
        self._listener = socket.socket()
        self._listener.bind((LOOPBACK, 0))
        self._listener.listen(backlog)
        self.port = int(self._listener.getsockname()[1])

    def accept(self) -> socket.socket:
        self._listener.settimeout(10)
        return self._listener.accept()[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()


def test_exports_share_one_connection(server: OtlpHttpServer) -> None:
    with client(server.port) as sender:
        assert [post(sender, f"{n}".encode()) for n in range(5)] == [OK] * 5
    assert [asked.body for asked in server.asked] == [b"0", b"1", b"2", b"3", b"4"]
    assert len({asked.connection for asked in server.asked}) == 1


def test_a_request_is_what_otlp_asks_for(server: OtlpHttpServer) -> None:
    with client(
        server.port, ENDPOINT=f"http://me:pw@{LOOPBACK}:{server.port}/base", HEADERS="x-tenant=a%20b"
    ) as sender:
        assert post(sender) == OK
    [asked] = server.asked
    assert asked.path == "/base/v1/traces"
    agent = asked.headers.pop("user-agent")  # type: ignore[attr-defined] # it is a dict
    assert agent.startswith("OTel-Sidecar-OTLP-Exporter-Python/")
    assert asked.headers == {
        "host": f"{LOOPBACK}:{server.port}",
        "content-type": "application/x-protobuf",
        "content-length": "4",
        "authorization": "Basic bWU6cHc=",
        "x-tenant": "a b",
    }


@pytest.mark.parametrize(("name", "inflate"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_bodies_are_compressed_when_asked(server: OtlpHttpServer, name: str, inflate: Callable[[bytes], bytes]) -> None:
    body = b"the same few words " * 1000
    with client(server.port, COMPRESSION=name) as sender:
        assert post(sender, body) == OK
    [asked] = server.asked
    assert asked.headers["content-encoding"] == name
    assert inflate(asked.body) == body
    assert len(asked.body) < len(body) / 10


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_retryable_answer_is_tried_again(server: OtlpHttpServer, status: int) -> None:
    server.say(Answer(status, b"busy", {"Content-Type": "text/plain"}))
    with client(server.port) as sender:
        assert post(sender) == OK
    assert len(server.asked) == 2
    assert len({asked.connection for asked in server.asked}) == 1


def test_retry_after_is_waited_for(server: OtlpHttpServer) -> None:
    server.say(Answer(503, headers={"Retry-After": "1"}))
    with client(server.port) as sender:
        began = time.monotonic()
        assert post(sender) == OK
    assert 1.0 <= time.monotonic() - began < 3


def test_a_retry_after_beyond_the_deadline_ends_the_export_at_once(server: OtlpHttpServer) -> None:
    server.say(Answer(429, headers={"Retry-After": "60"}))
    with client(server.port) as sender:
        began = time.monotonic()
        assert post(sender) == Posted(Outcome.GAVE_UP, "http_429", "HTTP 429 Too Many Requests")
    assert time.monotonic() - began < 2
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 408, 413, 500, 501])
def test_other_errors_are_permanent(server: OtlpHttpServer, status: int) -> None:
    server.say(Answer(status, b"\x12\x0bbad span id", {"Content-Type": "application/x-protobuf"}))
    with client(server.port) as sender:
        posted = post(sender)
    reason = http.client.responses[status]
    assert posted == Posted(Outcome.PERMANENT, f"http_{status}", f"HTTP {status} {reason}: bad span id")
    assert len(server.asked) == 1


def test_redirects_are_not_followed(server: OtlpHttpServer) -> None:
    server.say(Answer(307, headers={"Location": "http://elsewhere/"}))
    with client(server.port) as sender:
        posted = post(sender)
    assert (posted.outcome, posted.reason) == (Outcome.PERMANENT, "http_307")
    assert "redirects are not followed (to 'http://elsewhere/')" in posted.words


def test_partial_success_is_read(server: OtlpHttpServer) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=3, error_message="too old")
    server.say(Answer(body=ExportTraceServiceResponse(partial_success=partial).SerializeToString()))
    with client(server.port) as sender:
        assert post(sender) == Posted(Outcome.OK, "rejected", "too old", 3)


def test_a_page_is_not_read_as_a_partial_success(server: OtlpHttpServer) -> None:
    server.say(Answer(body=b"\n\x02\x08\x05", headers={"Content-Type": "text/html"}))
    with client(server.port) as sender:
        assert post(sender) == OK


def test_a_connection_the_server_closed_between_exports_costs_no_failure_and_no_pause(server: OtlpHttpServer) -> None:
    with client(server.port, jitter=lambda: pytest.fail("paused")) as sender:
        assert post(sender, b"1") == OK
        server.hang_up()
        assert post(sender, b"2") == OK
        server.say(Answer(close=True))
        assert [post(sender, b"3"), post(sender, b"4")] == [OK, OK]
    assert [asked.body for asked in server.asked] == [b"1", b"2", b"3", b"4"]


def test_a_server_restarted_between_exports_loses_nothing() -> None:
    port = free_port()
    with client(port) as sender:
        with otlp_http(port) as first:
            assert post(sender, b"1") == OK
        with otlp_http(port) as second:
            assert post(sender, b"2") == OK
    assert [asked.body for asked in (*first.asked, *second.asked)] == [b"1", b"2"]


def test_a_server_that_comes_back_within_the_deadline_gets_the_export() -> None:
    port = free_port()
    with client(port) as sender, ThreadPoolExecutor() as pool:
        paused = threading.Event()

        def pause() -> float:
            paused.set()
            return 0.0

        sender._jitter = pause
        waiting = pool.submit(post, sender)
        assert paused.wait(5)
        with otlp_http(port) as server:
            assert waiting.result(10) == OK
    assert [asked.body for asked in server.asked] == [b"body"]


def test_nobody_listening_gives_up_within_the_deadline() -> None:
    with client(free_port()) as sender:
        began = time.monotonic()
        posted = post(sender, timeout_s=0.6)
    assert (posted.outcome, posted.reason) == (Outcome.GAVE_UP, "connection")
    assert "refused" in posted.words
    assert time.monotonic() - began < 2


def test_a_host_that_does_not_exist_is_a_connection_failure() -> None:
    with client(0, ENDPOINT="http://nowhere.invalid:1") as sender:
        assert post(sender, timeout_s=0.2).reason == "connection"


def test_a_peer_that_never_answers_gives_up_at_the_deadline() -> None:
    with Peer() as peer, client(peer.port) as sender:
        began = time.monotonic()
        assert post(sender, timeout_s=0.4) == Posted(Outcome.GAVE_UP, "timeout", "no answer in time")
        assert 0.4 <= time.monotonic() - began < 1.5


def test_a_peer_that_takes_no_bytes_gives_up_at_the_deadline() -> None:
    """A body larger than both socket buffers, to a peer that never reads."""
    with Peer() as peer, client(peer.port) as sender:
        began = time.monotonic()
        assert post(sender, bytes(32 << 20), timeout_s=0.5).reason == "timeout"
        assert 0.5 <= time.monotonic() - began < 2


def test_a_peer_that_trickles_is_held_to_the_deadline() -> None:
    """Each byte comes in time for a socket timeout; the deadline is for all of them."""
    ended = threading.Event()

    def trickle() -> None:
        with peer.accept() as connection:
            while not ended.wait(0.02):
                connection.send(b"H")

    with Peer() as peer, client(peer.port) as sender, ThreadPoolExecutor() as pool:
        done = pool.submit(trickle)
        began = time.monotonic()
        posted = post(sender, timeout_s=0.5)
        ended.set()
        done.result(5)
    assert posted.reason == "timeout"
    assert time.monotonic() - began < 2


def test_a_connection_that_is_never_made_gives_up_at_the_deadline() -> None:
    """A full backlog drops further connections silently, as a black hole does."""
    with Peer(backlog=0) as peer:
        fillers = [socket.socket() for _ in range(8)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex((LOOPBACK, peer.port))
            with client(peer.port) as sender:
                began = time.monotonic()
                assert post(sender, timeout_s=0.4) == Posted(Outcome.GAVE_UP, "timeout", "no connection in time")
                assert 0.4 <= time.monotonic() - began < 1.5
        finally:
            for filler in fillers:
                filler.close()


@pytest.mark.parametrize("end", [OtlpClient.begin_shutdown, OtlpClient.shutdown])
def test_shutdown_is_bounded_while_a_peer_never_answers(end: Callable[[OtlpClient], None]) -> None:
    with Peer() as peer, client(peer.port) as sender, ThreadPoolExecutor() as pool:
        waiting = pool.submit(post, sender)
        with peer.accept() as connection:
            assert connection.recv(1)
            began = time.monotonic()
            end(sender)
            assert waiting.result(5).reason == "timeout"
            assert time.monotonic() - began < 1.5
            # The final seconds are one budget for all exports that are left, not one for each.
            assert [post(sender).outcome is Outcome.OK for _ in range(20)] == [False] * 20
            assert time.monotonic() - began < 2


@pytest.mark.parametrize("end", [OtlpClient.begin_shutdown, OtlpClient.shutdown])
def test_shutdown_wakes_an_export_that_waits_to_try_again(
    server: OtlpHttpServer, end: Callable[[OtlpClient], None]
) -> None:
    """It tries once more at once: the last spans are the ones that say why a service ended."""
    server.say(Answer(503, headers={"Retry-After": "4"}))
    with client(server.port) as sender, ThreadPoolExecutor() as pool:
        waiting = pool.submit(post, sender)
        wait_for(lambda: server.asked, "the first try")
        began = time.monotonic()
        end(sender)
        posted = waiting.result(5)
        assert time.monotonic() - began < 1.5
    assert len(server.asked) == 2 if posted == OK else posted.reason == "http_503"


def test_exports_go_on_for_a_while_once_the_shutdown_has_begun(server: OtlpHttpServer) -> None:
    with client(server.port) as sender:
        sender.begin_shutdown()
        assert post(sender) == OK
        sender.shutdown()
        assert post(sender).reason in {"shutdown", "timeout"}
        sender.shutdown()
    assert len(server.asked) == 1


def test_exports_of_many_threads_come_one_after_another(server: OtlpHttpServer) -> None:
    with client(server.port) as sender, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: post(sender, f"{n}".encode()), range(40)))
    assert results == [OK] * 40
    assert sorted(int(asked.body) for asked in server.asked) == list(range(40))
    assert len({asked.connection for asked in server.asked}) == 1


def test_an_export_behind_a_slow_one_waits_no_longer_than_its_deadline(server: OtlpHttpServer) -> None:
    answer = threading.Event()
    server.say(Answer(before=lambda: answer.wait(10)))
    with client(server.port) as sender, ThreadPoolExecutor() as pool:
        slow = pool.submit(post, sender)
        wait_for(lambda: server.asked, "the slow export")
        assert post(sender, timeout_s=0.2).words == "an earlier export is still under way"
        answer.set()
        assert slow.result(5) == OK


@pytest.mark.parametrize("length", [64 * 1024, 64 * 1024 + 1, 3 << 20])
def test_a_long_answer_is_not_read_to_its_end(server: OtlpHttpServer, length: int) -> None:
    server.say(Answer(body=bytes(length)))
    with client(server.port) as sender:
        assert [post(sender), post(sender)] == [OK, OK]


def test_an_answer_that_comes_before_the_body_was_read_is_heard() -> None:
    """A receiver refuses a body by its length and hangs up; that is 413, no broken connection to try again."""

    def refuse() -> None:
        with peer.accept() as connection:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            # Reading on until the client stops keeps the answer from being lost in a reset.
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 20):
                pass

    with Peer() as peer, client(peer.port) as sender, ThreadPoolExecutor() as pool:
        done = pool.submit(refuse)
        posted = post(sender, bytes(8 << 20))
        sender.shutdown()
        done.result(5)
    assert posted.reason == "http_413"


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b""])
def test_a_peer_that_speaks_something_else_is_a_connection_failure(answer: bytes) -> None:
    def talk() -> None:
        with peer.accept() as connection:
            connection.recv(1 << 16)
            connection.sendall(answer)

    with Peer() as peer, client(peer.port) as sender, ThreadPoolExecutor() as pool:
        done = pool.submit(talk)
        assert post(sender, timeout_s=0.2).reason == "connection"
        done.result(5)


def test_proxies_of_the_environment_are_not_asked(server: OtlpHttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{free_port()}")
    with client(server.port) as sender:
        assert post(sender) == OK


def test_exports_are_not_themselves_instrumented(server: OtlpHttpServer) -> None:
    server.say(Answer(503))
    seen: list[Any] = []

    def look() -> float:
        seen.append(get_value(_SUPPRESS_INSTRUMENTATION_KEY))
        return 0.0

    with client(server.port, jitter=look) as sender:
        assert post(sender) == OK
    assert seen == [True]
    assert get_value(_SUPPRESS_INSTRUMENTATION_KEY) is None


def test_what_nobody_thought_of_is_a_result_too(server: OtlpHttpServer) -> None:
    server.say(Answer(503))
    with client(server.port, jitter=lambda: 1 / 0) as sender:
        posted = post(sender)
    assert posted == Posted(Outcome.PERMANENT, "internal", "ZeroDivisionError: division by zero")
