"""OTLP/HTTP on a real socket: the stock exporters, every refusal the specification names, and hostile senders."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import time
from collections.abc import Iterator
from functools import partial

import pytest
import zstandard
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # googleapis ships no types
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from sidecar.batch import Accepted, Refusal
from sidecar.ledger import Refused
from tests.support.fronts import Fronts, fronts
from tests.support.otlp_requests import log_body, metric_body, trace_body
from tests.support.processes import Reply, wait_for
from tests.support.processes import http as fetch

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json; charset=utf-8"}
LIMIT = 1 << 20


@pytest.fixture(scope="module")
def shared() -> Iterator[Fronts]:
    with fronts(LIMIT) as made:
        yield made


@pytest.fixture
def front(shared: Fronts) -> Fronts:
    shared.stage.got.clear()
    shared.stage.says = [Accepted()]
    return shared


def post(front: Fronts, signal: str, body: bytes, **headers: str) -> Reply:
    return fetch(f"http://{front.http}/v1/{signal}", body=body, headers={**PROTOBUF, **headers})


@pytest.mark.parametrize("compression", list(Compression))
def test_the_stock_exporter(front: Fronts, compression: Compression) -> None:
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"http://{front.http}/v1/traces", compression=compression)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("work"):
        pass
    provider.shutdown()
    assert [batch.items for batch in front.stage.got] == [1]


@pytest.mark.parametrize(
    ("signal", "body"), [("traces", trace_body(2)), ("metrics", metric_body(2)), ("logs", log_body(2))]
)
def test_every_signal_and_its_answer(front: Fronts, signal: str, body: bytes) -> None:
    reply = post(front, signal, body)
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"", "application/x-protobuf")
    assert [(batch.signal, batch.body, batch.items) for batch in front.stage.got] == [(signal, body, 2)]


def test_json_is_answered_in_json(front: Fronts) -> None:
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}'
    reply = fetch(f"http://{front.http}/v1/logs", body=body, headers=JSON)
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"{}", "application/json")
    assert front.stage.got[0].items == 1


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "GZIP", "identity"])
def test_encodings(front: Fronts, encoding: str) -> None:
    body = trace_body(2, padding=300_000)
    encoded = {"gzip": gzip.compress(body), "zstd": zstandard.compress(body), "identity": body}[encoding.lower()]
    assert post(front, "traces", encoded, **{"content-encoding": encoding}).status == 200
    assert front.stage.got[0].body == body


def test_partial_success_is_passed_on(front: Fronts) -> None:
    front.stage.says = [Accepted(2, "two are stale")]
    partial = ExportMetricsServiceResponse.FromString(post(front, "metrics", metric_body(5)).body).partial_success
    assert (partial.rejected_data_points, partial.error_message) == (2, "two are stale")


def test_a_full_queue_is_429_with_retry_after(front: Fronts) -> None:
    front.stage.says = [Refusal(Refused.QUEUE_FULL, "the queue is full", 1.2)]
    reply = post(front, "traces", trace_body())
    assert (reply.status, reply.headers["retry-after"]) == (429, "2")
    assert Status.FromString(reply.body).message == "the queue is full"


def test_the_stock_exporter_repeats_what_was_refused_for_now(front: Fronts) -> None:
    front.stage.says = [Refusal(Refused.OVERLOADED, "busy", 0.1), Accepted()]
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"http://{front.http}/v1/traces")))
    provider.get_tracer("test").start_span("work").end()
    provider.shutdown()
    assert [batch.items for batch in front.stage.got] == [1]


@pytest.mark.parametrize(
    ("asked", "headers", "status", "message"),
    [
        ("POST /", JSON, 404, "no such path: /; OTLP is at /v1/traces, /v1/metrics, /v1/logs"),
        ("GET /v1/traces", {}, 405, "GET on /v1/traces: only POST is spoken here"),
        (
            "POST /v1/traces",
            {"content-type": "text/plain"},
            415,
            "content-type 'text/plain' is not one of application/x-protobuf, application/json",
        ),
        (
            "POST /v1/logs",
            {**JSON, "content-encoding": "br"},
            415,
            "logs request: content-encoding 'br' is not one of gzip, deflate, zstd, identity",
        ),
        ("POST /v1/logs", JSON, 400, "logs request: not JSON: JSON is malformed: invalid character (byte 0)"),
    ],
)
def test_refusals_say_what_is_wrong(
    front: Fronts, asked: str, headers: dict[str, str], status: int, message: str
) -> None:
    method, path = asked.split()
    body = b"x" if method == "POST" else None
    reply = fetch(f"http://{front.http}{path}", body=body, headers=headers, method=method)
    assert (reply.status, json.loads(reply.body)["message"]) == (status, message)
    assert reply.headers.get("allow") == ("POST" if status == 405 else None)
    assert ("accept-encoding" in reply.headers) == (status == 415)


def test_a_malformed_body_is_400_and_the_connection_goes_on(front: Fronts) -> None:
    connection = http.client.HTTPConnection(front.http, timeout=5)
    for body, status in ((b"\x0a\x05abc", 400), (trace_body(), 200)):
        connection.request("POST", "/v1/traces", body, PROTOBUF)
        reply = connection.getresponse()
        answer = reply.read()
        assert reply.status == status
        if status == 400:
            message = "traces request: truncated length-delimited field 1 at byte 0 of ExportRequest"
            assert Status.FromString(answer) == Status(code=3, message=message)
    connection.close()


def test_a_body_above_the_limit_is_413_however_it_comes(front: Fronts) -> None:
    """Declared, in chunks without a length, and only after decompression; the sender gets to read the answer."""
    large = bytes(30 << 20)
    assert post(front, "traces", large).status == 413
    connection = http.client.HTTPConnection(front.http, timeout=10)
    connection.request("POST", "/v1/traces", iter([large]), PROTOBUF, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    reply = post(front, "traces", gzip.compress(large), **{"content-encoding": "gzip"})
    message = f"traces request: the body is larger than the limit of {LIMIT} bytes once decompressed"
    assert (reply.status, Status.FromString(reply.body).message) == (413, message)
    assert post(front, "traces", trace_body()).status == 200


def test_whoever_waits_for_100_continue_need_not_send_a_large_body(front: Fronts) -> None:
    with _raw(front) as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"expect: 100-continue\r\ncontent-length: 99999999\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_sender_that_goes_away_is_in_the_books_and_gives_its_memory_back() -> None:
    with fronts(LIMIT) as front:
        for turn in range(1, 31):  # together more than may be in flight
            with _raw(front) as connection:
                connection.sendall(_head(1_000_000) + bytes(900_000))
            wait_for(partial(_interrupted, front, turn), "the interrupted request in the ledger")
        assert post(front, "traces", trace_body()).status == 200


def test_bodies_in_flight_are_bounded_together() -> None:
    """17 MiB of unfinished bodies beside a limit of 1 MiB: the next is told to come back, and later it may."""
    with fronts(LIMIT) as front:
        held = []
        for _ in range(17):
            connection = _raw(front)
            connection.sendall(_head(1 << 20) + bytes((1 << 20) - 1))
            held.append(connection)
        reply = wait_for(lambda: _refused_for_now(front), "a refusal", every_s=0.1)
        assert reply is not None
        assert reply.headers["retry-after"] == "1"
        for connection in held:
            connection.close()
        wait_for(lambda: post(front, "traces", trace_body()).status == 200, "room again")


def test_a_response_does_not_wait_for_slow_senders(front: Fronts) -> None:
    with _raw(front) as slow:
        slow.sendall(_head(9) + b"{")
        start = time.monotonic()
        assert post(front, "traces", trace_body()).status == 200
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("length", [9, 99 << 20], ids=["half sent", "refused and still coming"])
def test_a_stop_answers_whoever_has_not_sent_all(length: int, caplog: pytest.LogCaptureFixture) -> None:
    """A sender that is slow is no failure of ours, with a traceback in the log."""
    with fronts(LIMIT) as front:
        connection = _raw(front)
        connection.sendall(_head(length) + b"{")
        time.sleep(0.3)
    with connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 503 " if length == 9 else b"HTTP/1.1 413 ")
    assert front.refused() == [("draining" if length == 9 else "too_large", 1)]
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_books(front: Fronts) -> None:
    """Every refusal above was counted under its reason, and nothing is missing."""
    assert {reason for reason, _ in front.refused()} <= set(Refused)
    assert front.ledger.snapshot().balanced


def _refused_for_now(front: Fronts) -> Reply | None:
    reply = post(front, "traces", trace_body(padding=2_000))
    return reply if reply.status == 503 else None


def _interrupted(front: Fronts, requests: int) -> bool:
    return front.refused() == [("interrupted", requests)]


def _head(length: int) -> bytes:
    lines = ("POST /v1/traces HTTP/1.1", "host: x", "content-type: application/x-protobuf", f"content-length: {length}")
    return "\r\n".join((*lines, "", "")).encode()


def _raw(front: Fronts) -> socket.socket:
    host, _, port = front.http.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)
