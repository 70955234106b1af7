"""The demo's traces go on to a real Collector when it is told where one is."""

from __future__ import annotations

import re

import pytest

from tests.e2e.collector import Collector
from tests.e2e.jaeger import Jaeger
from tests.support.processes import python, running, wait_for

pytestmark = pytest.mark.e2e
SERVICE = "catvsdog-api"


def test_the_demo_ends_well_and_its_spans_are_in_jaeger(gateway: Collector, tracing: Jaeger) -> None:
    """Twenty seconds of traffic, exit status 0, and in Jaeger one server span for each request it says it sent."""
    command = python("-m", "sidecar", "demo", "--for", "20s", "--forward", f"http://{gateway.http}")
    with running(command, name="demo") as program:
        status = program.process.wait(120)
    assert status == 0, program.output
    said = re.search(r"requests answered +([\d,]+)", program.output)
    assert said, program.output
    answered = int(said[1].replace(",", ""))
    assert answered > 100

    def servers() -> int:
        return sum(trace.root.kind == "server" for trace in tracing.traces(SERVICE))

    wait_for(lambda: servers() >= answered, f"{answered} server spans in Jaeger", timeout_s=30, every_s=0.2)
    assert servers() == answered
