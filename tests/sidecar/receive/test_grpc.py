"""OTLP/gRPC on a real port: the stock exporters and every refusal as gRPC says it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # googleapis ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # googleapis ships no types
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from sidecar.batch import Accepted, Refusal, Signal
from sidecar.ledger import Refused
from sidecar.receive.grpc import SERVICES
from tests.support.fronts import Fronts, fronts
from tests.support.otlp_requests import REQUESTS, log_body, metric_body, trace_body
from tests.support.processes import wait_for

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


@pytest.fixture
def channel(front: Fronts) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(front.grpc, options=(("grpc.max_send_message_length", -1),)) as channel:
        yield channel


def export(channel: grpc.Channel, body: bytes, compression: grpc.Compression | None = None) -> bytes:
    call: Any = channel.unary_unary(f"/{SERVICES[Signal.TRACES]}/Export")
    return bytes(call(body, timeout=20, compression=compression))


def _stub(kind: Any, channel: grpc.Channel) -> Any:
    return kind(channel)


def refused(channel: grpc.Channel, body: bytes, compression: grpc.Compression | None = None) -> Any:
    """The error of an export; grpc's types do not say that it is a call as well."""
    with pytest.raises(grpc.RpcError) as raised:
        export(channel, body, compression)
    return raised.value


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_the_stock_exporter(front: Fronts, compression: grpc.Compression | None) -> None:
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=front.grpc, insecure=True, compression=compression)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("test").start_span("work").end()
    provider.shutdown()
    assert [(batch.signal, batch.items) for batch in front.stage.got] == [(Signal.TRACES, 1)]


def test_metrics_and_logs_by_their_stubs(front: Fronts, channel: grpc.Channel) -> None:
    """The services' names are those of opentelemetry-proto."""
    front.stage.says = [Accepted(1, "one is stale"), Accepted()]
    metrics = ExportMetricsServiceRequest.FromString(metric_body(2))
    response: ExportMetricsServiceResponse = _stub(MetricsServiceStub, channel).Export(metrics)
    assert (response.partial_success.rejected_data_points, response.partial_success.error_message) == (
        1,
        "one is stale",
    )
    _stub(LogsServiceStub, channel).Export(REQUESTS[Signal.LOGS].FromString(log_body(3)))
    assert [(batch.signal, batch.items) for batch in front.stage.got] == [("metrics", 2), ("logs", 3)]


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refusal(Refused.QUEUE_FULL, "full", 1.5), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (Refusal(Refused.DRAINING, "stopping", 5.0), grpc.StatusCode.UNAVAILABLE),
        (Refusal("no good", "no good"), grpc.StatusCode.INVALID_ARGUMENT),
        (Refusal(Refused.TOO_LARGE, "too large"), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_refusals_carry_retry_info_only_when_a_retry_helps(
    front: Fronts, channel: grpc.Channel, refusal: Refusal, code: grpc.StatusCode
) -> None:
    front.stage.says = [refusal]
    error = refused(channel, trace_body())
    assert (error.code(), error.details()) == (code, refusal.message)
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    assert (status.code, status.message) == (code.value[0], refusal.message)
    delays = []
    for detail in status.details:
        info = RetryInfo()
        assert detail.Unpack(info)
        delays.append(info.retry_delay.ToMilliseconds() / 1000)
    assert delays == ([] if refusal.retry_after_s is None else [refusal.retry_after_s])


def test_a_malformed_body_is_invalid_argument(front: Fronts, channel: grpc.Channel) -> None:
    error = refused(channel, b"\x0a\x05abc")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "traces request: truncated length-delimited field 1 at byte 0 of ExportRequest"


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_body_above_the_limit_is_refused_before_and_after_decompression(
    front: Fronts, channel: grpc.Channel, compression: grpc.Compression | None
) -> None:
    error = refused(channel, bytes(64 << 20), compression)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in error.details()
    export(channel, trace_body())
    assert front.stage.got[0].items == 1


def test_what_grpcio_refuses_is_in_the_books() -> None:
    """And a call that ends without a message, which is an answer to be told.

    On a crowded machine grpcio now and then ends such a call before our handler is called (docs/failure.md).
    """
    with fronts(LIMIT) as front, grpc.insecure_channel(front.grpc) as channel:

        def booked(compression: grpc.Compression | None, least: int) -> bool:
            refused(channel, bytes(3 << 20), compression)
            return any(reason is Refused.TOO_LARGE and count >= least for reason, count in front.refused())

        wait_for(lambda: booked(None, 1), "a large message in the ledger", every_s=0.5)
        before = max(count for _, count in front.refused())
        wait_for(lambda: booked(grpc.Compression.Gzip, before + 1), "a bomb in the ledger", every_s=0.5)
        empty: Any = channel.stream_unary(f"/{SERVICES[Signal.TRACES]}/Export")
        with pytest.raises(grpc.RpcError) as raised:
            empty(iter(()), timeout=20)
        error: Any = raised.value
        assert error.details() == f"no message within the limit of {LIMIT} bytes arrived"


def test_a_message_that_never_comes_is_an_interruption() -> None:
    with fronts(LIMIT) as front, grpc.insecure_channel(front.grpc) as channel:
        waits: Any = channel.stream_unary(f"/{SERVICES[Signal.TRACES]}/Export")
        never = threading.Event()

        def nothing() -> Iterator[bytes]:
            never.wait(20)
            yield from ()

        with pytest.raises(grpc.RpcError):
            waits(nothing(), timeout=0.2)
        wait_for(lambda: front.refused() == [(Refused.INTERRUPTED, 1)], "the interrupted call in the ledger")
        never.set()


def test_requests_in_flight_are_bounded_together() -> None:
    """17 MiB beside a limit of 1 MiB are being worked on: the next is told to come back, and later it may."""
    with fronts(LIMIT, slow=True) as front, grpc.insecure_channel(front.grpc) as channel:
        front.stage.may_go_on.clear()
        call: Any = channel.unary_unary(f"/{SERVICES[Signal.TRACES]}/Export")
        body = trace_body(1, padding=LIMIT - 2000)
        held = [call.future(body, timeout=20) for _ in range(17)]
        error = wait_for(lambda: _refused_for_now(call), "a refusal")
        assert "bytes of requests are being received already" in error.details()
        front.stage.may_go_on.set()
        assert [future.result() for future in held] == [b""] * 17
        export(channel, body)


def _refused_for_now(call: Any) -> Any:
    future = call.future(bytes(100_000), timeout=0.5)
    return future if future.code() is grpc.StatusCode.UNAVAILABLE else None


def test_the_stock_exporter_repeats_what_was_refused_for_now(front: Fronts) -> None:
    front.stage.says = [Refusal(Refused.QUEUE_FULL, "full", 0.1), Accepted()]
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=front.grpc, insecure=True)))
    provider.get_tracer("test").start_span("work").end()
    provider.shutdown()
    assert [batch.items for batch in front.stage.got] == [1]
