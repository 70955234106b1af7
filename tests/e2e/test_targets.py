"""The sidecar forwards to any OTLP endpoint: straight to Jaeger too, and after an outage what it had accepted."""

from __future__ import annotations

import pytest

from tests.e2e.addresses import free_addresses
from tests.e2e.collector import collector
from tests.e2e.jaeger import Jaeger
from tests.e2e.otlp import post, spans
from tests.e2e.services import CONTRACT, catvsdog, pictures, predict, sidecar
from tests.support.processes import wait_for

pytestmark = pytest.mark.e2e
COUNT = 12


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_traces_reach_jaeger_without_a_collector(tracing: Jaeger, scheme: str) -> None:
    """Every prediction is one whole trace, those of the last moment before both were stopped included."""
    service = f"straight-{scheme}"
    target = {"http": tracing.http, "grpc": tracing.grpc}[scheme]
    with (
        sidecar("--forward", f"{scheme}://{target}", "--contract", CONTRACT) as beside,
        catvsdog(beside, service) as address,
    ):
        assert len(predict(address, pictures(COUNT)).good) == COUNT
    found = [trace for trace in tracing.wait_traces(service, COUNT) if trace.root.name == "POST /predict"]
    assert len(found) == COUNT
    for trace in found:
        assert trace.ancestors(trace.named("inference")) == ["POST /predict"]


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_what_was_accepted_while_the_gateway_was_away_arrives_once(tracing: Jaeger, scheme: str) -> None:
    """The gateway starts after the sidecar has accepted the spans, and Jaeger gets each of them once."""
    service = f"outage-{scheme}"
    address = free_addresses("gateway")["gateway"]
    with sidecar("--forward", f"{scheme}://{address}") as beside:
        for _ in range(10):
            assert post(beside.http, spans(service, 20)).status == 200
        assert beside.account("traces")["queued"] == 200
        with collector(tracing.grpc, **{f"GATEWAY_{scheme.upper()}": address}):
            wait_for(lambda: beside.account("traces")["forwarded"] == 200, "the sidecar to forward", timeout_s=40)
            found = tracing.wait_traces(service, 200)
    assert [len(trace.spans) for trace in found] == [1] * 200
