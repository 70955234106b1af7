"""The gateway's configuration in the real Collector: what collector/README.md promises about loss holds."""

from __future__ import annotations

import pytest

from tests.e2e.addresses import free_addresses
from tests.e2e.collector import Collector, collector
from tests.e2e.jaeger import Jaeger, jaeger
from tests.e2e.otlp import PROTOBUF, post, spans
from tests.support.processes import http, wait_for

pytestmark = pytest.mark.e2e


def test_spans_reach_jaeger_and_are_counted(gateway: Collector, tracing: Jaeger) -> None:
    """What the gateway says it accepted and sent is what Jaeger shows."""
    accepted = gateway.metric("otelcol_receiver_accepted_spans")
    sent = gateway.metric("otelcol_exporter_sent_spans")
    assert post(gateway.http, spans("gateway-plain", 20)).status == 200
    found = tracing.wait_traces("gateway-plain", 20)
    assert {trace.root.name for trace in found} == {f"span {index}" for index in range(20)}
    assert gateway.metric("otelcol_receiver_accepted_spans") == accepted + 20
    assert gateway.metric("otelcol_exporter_sent_spans") == sent + 20


def test_a_request_larger_than_jaeger_takes_is_split(gateway: Collector, tracing: Jaeger) -> None:
    """Jaeger refuses messages above 4 MiB; the gateway cuts an 8 MB request into batches that fit."""
    assert post(gateway.http, spans("gateway-large", 400, padding=20_000)).status == 200
    assert len(tracing.wait_traces("gateway-large", 400)) == 400


def test_what_was_accepted_while_jaeger_was_down_arrives() -> None:
    """Jaeger starts after the spans were accepted, and gets all of them."""
    address = free_addresses("jaeger")["jaeger"]
    with collector(address) as gateway:
        assert post(gateway.http, spans("gateway-outage", 50)).status == 200
        wait_for(lambda: gateway.metric("otelcol_exporter_queue_size"), "the spans to wait in the gateway's queue")
        with jaeger(grpc=address) as tracing:
            assert len(tracing.wait_traces("gateway-outage", 50, timeout_s=45)) == 50
            wait_for(lambda: gateway.metric("otelcol_exporter_sent_spans") == 50, "the gateway to have counted them")


def test_a_full_queue_is_refused_to_the_sender_and_not_lost() -> None:
    """With Jaeger away and the queue full the sender is told to try again (503), so that it keeps the spans."""
    with collector(free_addresses("nobody")["nobody"], GATEWAY_QUEUE_BYTES="4000000") as gateway:
        replies = [post(gateway.http, spans("gateway-full", 100, padding=10_000)) for _ in range(8)]
        assert {reply.status for reply in replies} == {200, 503}
        accepted = 100 * sum(reply.status == 200 for reply in replies)
        assert gateway.metric("otelcol_receiver_accepted_spans") == accepted
        assert gateway.metric("otelcol_receiver_refused_spans") == 800 - accepted
        assert gateway.metric("otelcol_exporter_send_failed_spans") == 0


def test_above_the_memory_limit_the_sender_is_refused() -> None:
    """The limiter answers 503 before the queue is full; the process lives."""
    with collector(free_addresses("nobody")["nobody"], GATEWAY_MEMORY_MIB="30") as gateway:

        def limited() -> bool:
            reply = post(gateway.http, spans("gateway-memory", 100, padding=50_000))
            return reply.status == 503 and "high memory usage" in reply.text

        wait_for(limited, "the memory limiter to refuse", every_s=0.2)
        assert gateway.metric("otelcol_processor_memory_limiter_refused_spans") > 0


@pytest.mark.parametrize("signal", ["logs", "metrics"])
def test_what_the_gateway_has_no_pipeline_for_is_refused(gateway: Collector, signal: str) -> None:
    """Logs and metrics get a 404, not a silent yes."""
    assert http(f"http://{gateway.http}/v1/{signal}", body=b"", headers=PROTOBUF).status == 404
