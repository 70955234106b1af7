"""The relay against real targets over loopback, HTTP and gRPC: nothing is lost silently, whatever they answer."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from sidecar.batch import Accepted, Batch, Refusal, Signal
from sidecar.ledger import Ledger, Row
from sidecar.receive.answer import status_details
from sidecar.relay import Relay, build_relay
from sidecar.relay.lane import LaneSettings
from sidecar.values import Header, target
from tests.support.otlp_requests import log_body, trace_body
from tests.support.otlp_sink import BAD, Answer, Identity, Sink, grpc_sink, http_sink
from tests.support.processes import LOOPBACK, free_port

GRPC, HTTP = "grpc", "http"


@contextmanager
def sink(scheme: str, port: int = 0) -> Iterator[Sink]:
    with http_sink(port) if scheme == HTTP else grpc_sink(port) as made:
        yield made


class Books:
    """A relay with its ledger, and a count of what was put in."""

    def __init__(
        self, *urls: str, headers: tuple[Header, ...] = (), queue_bytes: int = 64 << 20, max_age: float = 300
    ) -> None:
        self.ledger = Ledger()
        settings = LaneSettings(queue_bytes, max_age)
        self.relay: Relay = build_relay([target(url) for url in urls], headers, settings, self.ledger)

    def offer(self, body: bytes, items: int, signal: Signal = Signal.TRACES) -> Accepted | Refusal:
        """As the intake does it."""
        outcome = self.relay.offer(Batch(signal, body, items, 0))
        if isinstance(outcome, Accepted):
            self.ledger.received(signal, items)
        assert self.ledger.snapshot().balanced
        return outcome

    def row(self, url: str, signal: Signal = Signal.TRACES) -> Row:
        return next(row for row in self.ledger.snapshot().rows if (row.target, row.signal) == (url, signal))

    async def until(self, condition: Callable[[], bool], timeout_s: float = 20) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                assert self.ledger.snapshot().balanced
                await asyncio.sleep(0.01)


@asynccontextmanager
async def relaying(*urls: str, **settings: object) -> AsyncIterator[Books]:
    books = Books(*urls, **settings)  # type: ignore[arg-type] # passed through
    books.relay.start()
    try:
        yield books
    finally:
        await books.relay.drain(5)
        assert books.ledger.snapshot().balanced
        assert all(row.queued == 0 for row in books.ledger.snapshot().rows)


@pytest.mark.parametrize("scheme", [HTTP, GRPC])
def test_requests_are_joined_and_arrive_with_their_headers(scheme: str, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("Bearer s3cret\n")
    headers = (Header("authorization", file=str(secret)), Header("x-team", "ml"))

    async def go(sink: Sink) -> None:
        url = f"{scheme}://{LOOPBACK}:{sink.port}"
        async with relaying(url, headers=headers) as books:
            for number in range(50):
                books.offer(trace_body(2, name=f"span-{number}"), 2)
                books.offer(log_body(3), 3, Signal.LOGS)
            await books.until(lambda: books.row(url).forwarded + books.row(url, Signal.LOGS).forwarded == 250)
        assert Counter(span.name for span in sink.items()) == {f"span-{number}": 2 for number in range(50)}
        assert len(sink.items(Signal.LOGS)) == 150
        assert len(sink.requests) == 2  # one for each signal
        assert {(seen["authorization"], seen["x-team"]) for _, _, seen in sink.requests} == {("Bearer s3cret", "ml")}

    with sink(scheme) as made:
        asyncio.run(go(made))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program")
@pytest.mark.parametrize("scheme", [HTTP, GRPC])
def test_tls_with_the_certificates_this_machine_trusts(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target nobody vouches for gets nothing; its data waits."""
    identity = Identity.make(tmp_path)

    async def go(sink: Sink) -> None:
        url = f"{scheme}s://{LOOPBACK}:{sink.port}"
        stranger = Books(url)
        stranger.relay.start()
        stranger.offer(trace_body(3), 3)
        await asyncio.sleep(0.5)
        assert (stranger.row(url).queued, sink.requests) == (3, [])
        await stranger.relay.drain(0)
        monkeypatch.setenv("SSL_CERT_FILE", str(identity.certificate))
        async with relaying(url) as books:
            books.offer(trace_body(4), 4)
            await books.until(lambda: books.row(url).forwarded == 4)

    with http_sink(tls=identity) if scheme == HTTP else grpc_sink(tls=identity) as made:
        asyncio.run(go(made))


@pytest.mark.parametrize("scheme", [HTTP, GRPC])
def test_nothing_is_lost_while_the_target_is_down(scheme: str) -> None:
    port = free_port()
    url = f"{scheme}://{LOOPBACK}:{port}"

    async def go() -> None:
        async with relaying(url) as books:
            for _ in range(200):
                books.offer(trace_body(5), 5)
            await asyncio.sleep(0.6)  # some tries fail
            assert books.row(url).queued == 1000
            with sink(scheme, port) as made:
                await books.until(lambda: books.row(url).forwarded == 1000, 30)
                assert len(made.items()) == 1000

    asyncio.run(go())


@pytest.mark.parametrize("scheme", [HTTP, GRPC])
def test_one_bad_request_costs_only_itself(scheme: str) -> None:
    """Three that the walk takes and the target does not, among a hundred joined ones."""
    bad = trace_body(1).replace(b"work", b"wor\xff")  # no UTF-8, which only a decoder sees

    async def go(sink: Sink) -> None:
        url = f"{scheme}://{LOOPBACK}:{sink.port}"
        async with relaying(url) as books:
            for number in range(100):
                books.offer(bad if number in {7, 50, 51} else trace_body(4), 1 if number in {7, 50, 51} else 4)
            await books.until(lambda: not books.row(url).queued)
            row = books.row(url)
        assert (row.forwarded, row.dropped) == (97 * 4, (("invalid", 3),))
        assert len(sink.items()) == 97 * 4
        assert len(sink.tries) < 60

    with sink(scheme) as made:
        asyncio.run(go(made))


def test_a_request_above_grpc_s_limit_is_split_until_it_fits() -> None:
    """A single request of 9 MiB to a server with the usual 4 MiB; one span of 5 MiB can't be had smaller."""

    async def go(sink: Sink) -> None:
        url = f"grpc://{LOOPBACK}:{sink.port}"
        async with relaying(url) as books:
            books.offer(trace_body(90, padding=100_000), 90)
            books.offer(trace_body(1, padding=5 << 20), 1)
            await books.until(lambda: not books.row(url).queued)
            assert (books.row(url).forwarded, books.row(url).dropped) == (90, (("too_large", 1),))
        assert len(sink.items()) == 90

    with grpc_sink() as made:
        asyncio.run(go(made))


def test_413_is_split_too() -> None:
    async def go(sink: Sink) -> None:
        sink.decide = lambda _, body: Answer(413) if len(body) > 5_000 else None
        url = f"http://{LOOPBACK}:{sink.port}"
        async with relaying(url) as books:
            books.offer(trace_body(10, padding=1_000), 10)
            books.offer(trace_body(1, padding=9_000), 1)
            await books.until(lambda: not books.row(url).queued)
            assert (books.row(url).forwarded, books.row(url).dropped) == (10, (("too_large", 1),))

    with http_sink() as made:
        asyncio.run(go(made))


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [
        (HTTP, Answer(503, headers={"retry-after": "1"})),
        (HTTP, Answer(429)),
        (GRPC, Answer(grpc=grpc.StatusCode.UNAVAILABLE)),
        (
            GRPC,
            Answer(
                grpc=grpc.StatusCode.RESOURCE_EXHAUSTED,
                trailers=(("grpc-status-details-bin", status_details(Refusal("queue_full", "", 0.5))),),
            ),
        ),
    ],
)
def test_a_busy_target_is_asked_again(scheme: str, answer: Answer) -> None:
    async def go(sink: Sink) -> None:
        sink.decide = lambda *_: answer if len(sink.tries) < 3 else None
        url = f"{scheme}://{LOOPBACK}:{sink.port}"
        async with relaying(url) as books:
            books.offer(trace_body(3), 3)
            await books.until(lambda: books.row(url).forwarded == 3)
        assert len(sink.tries) == 3

    with sink(scheme) as made:
        asyncio.run(go(made))


@pytest.mark.parametrize(
    ("scheme", "answer", "reason"),
    [
        (HTTP, Answer(401), "unauthorized"),
        (HTTP, Answer(404), "failed"),
        (HTTP, BAD, "invalid"),
        (GRPC, Answer(grpc=grpc.StatusCode.PERMISSION_DENIED), "unauthorized"),
        (GRPC, Answer(grpc=grpc.StatusCode.UNIMPLEMENTED), "failed"),
    ],
)
def test_what_is_never_wanted_is_dropped_once_and_counted(scheme: str, answer: Answer, reason: str) -> None:
    async def go(sink: Sink) -> None:
        sink.decide = lambda *_: answer
        url = f"{scheme}://{LOOPBACK}:{sink.port}"
        async with relaying(url) as books:
            books.offer(trace_body(3), 3)
            await books.until(lambda: books.row(url).dropped == ((reason, 3),))
        assert len(sink.tries) == 1

    with sink(scheme) as made:
        asyncio.run(go(made))


@pytest.mark.parametrize("scheme", [HTTP, GRPC])
def test_what_the_target_rejects_of_a_batch_is_counted(scheme: str) -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 2

    async def go(sink: Sink) -> None:
        sink.decide = lambda *_: Answer(
            body=response.SerializeToString(), headers={"content-type": "application/x-protobuf"}
        )
        url = f"{scheme}://{LOOPBACK}:{sink.port}"
        async with relaying(url) as books:
            books.offer(trace_body(5), 5)
            await books.until(lambda: not books.row(url).queued)
            assert (books.row(url).forwarded, books.row(url).dropped) == (3, (("rejected", 2),))

    with sink(scheme) as made:
        asyncio.run(go(made))


def test_a_full_queue_refuses_as_retryable_and_never_grows() -> None:
    async def go() -> None:
        url = f"http://{LOOPBACK}:{free_port()}"
        books = Books(url, queue_bytes=100_000)
        books.relay.start()
        outcomes = [books.offer(trace_body(1, padding=9_000), 1) for _ in range(20)]
        assert outcomes[:10] == [Accepted()] * 10
        assert outcomes[-1] == Refusal("queue_full", f"the queue of 100000 bytes to {url} is full", 1.0)
        huge = books.offer(trace_body(1, padding=200_000), 1)
        assert isinstance(huge, Refusal)
        assert (huge.reason, huge.retry_after_s) == ("too_large", None)
        assert books.relay.queues()[url].held <= 100_000
        await books.relay.drain(0.1)
        assert books.row(url).dropped == (("shutdown", 10),)
        assert books.ledger.snapshot().balanced

    asyncio.run(go())


def test_a_full_target_does_not_hold_up_another() -> None:
    async def go(sink: Sink) -> None:
        dead, alive = f"http://{LOOPBACK}:{free_port()}", f"http://{LOOPBACK}:{sink.port}"
        books = Books(dead, alive, queue_bytes=50_000)
        books.relay.start()
        for _ in range(20):
            assert books.offer(trace_body(1, padding=9_000), 1) == Accepted()
            await books.until(lambda: not books.row(alive).queued)
        assert books.row(alive).forwarded == 20
        assert (books.row(dead).queued, books.row(dead).dropped) == (5, (("queue_full", 15),))
        await books.relay.drain(0)

    with http_sink() as made:
        asyncio.run(go(made))


def test_what_waited_too_long_is_dropped_as_expired() -> None:
    async def go() -> None:
        url = f"http://{LOOPBACK}:{free_port()}"
        async with relaying(url, max_age=0.3) as books:
            books.offer(trace_body(3), 3)
            await books.until(lambda: books.row(url).dropped == (("expired", 3),))

    asyncio.run(go())


def test_a_stop_sends_what_waits_at_once() -> None:
    """Neither lingering for company nor the pause between tries holds up the end."""

    async def go(sink: Sink) -> None:
        sink.decide = lambda *_: Answer(503, headers={"retry-after": "60"}) if len(sink.tries) == 1 else None
        url = f"http://{LOOPBACK}:{sink.port}"
        books = Books(url)
        books.relay.start()
        books.offer(trace_body(3), 3)
        await books.until(lambda: len(sink.tries) == 1)
        books.offer(trace_body(4), 4)
        async with asyncio.timeout(5):
            await books.relay.drain(4)
        assert (books.row(url).forwarded, books.row(url).queued) == (7, 0)

    with http_sink() as made:
        asyncio.run(go(made))


def test_a_silent_target_costs_a_stop_its_deadline_only() -> None:
    async def go(sink: Sink) -> None:
        sink.decide = lambda *_: Answer(delay_s=3)
        url = f"http://{LOOPBACK}:{sink.port}"
        books = Books(url)
        books.relay.start()
        books.offer(trace_body(3), 3)
        await books.until(lambda: len(sink.tries) == 1)
        async with asyncio.timeout(2):
            await books.relay.drain(0.3)
        assert books.row(url).dropped == (("shutdown", 3),)
        assert books.ledger.snapshot().balanced

    with http_sink() as made:
        asyncio.run(go(made))
