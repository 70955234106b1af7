"""Totals are each process's own, also when it was forked after it had counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Run in processes of their own: forking a test runner that has threads is what this product warns of.
SCRIPT = """
import json, os, sys
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.metrics import Observation
from instrumentation.meters import ForkSafeMeterProvider

readers = []
def start():
    readers.append(InMemoryMetricReader())
    return MeterProvider(metric_readers=[readers[-1]], shutdown_on_exit=False)

def totals():
    data = readers[-1].get_metrics_data()
    return {m.name: [getattr(p, "value", None) if hasattr(p, "value") else p.count for p in m.data.data_points]
            for r in (data.resource_metrics if data else ()) for s in r.scope_metrics for m in s.metrics}

provider = ForkSafeMeterProvider(start)
meter = provider.get_meter("test")
counter = meter.create_counter("counter")
updown = meter.create_up_down_counter("updown")
histogram = meter.create_histogram("histogram", explicit_bucket_boundaries_advisory=[1.0])
gauge = meter.create_gauge("gauge")
meter.create_observable_gauge("observed", [lambda _: [Observation(os.getpid())]])
for _ in range(5):
    counter.add(1); updown.add(1); histogram.record(0.5); gauge.set(1)
out, into = os.pipe()
child = os.fork()
if child == 0:
    counter.add(1); updown.add(2); histogram.record(2.0)
    os.write(into, json.dumps({"pid": os.getpid(), **totals()}).encode())
    os._exit(0)
os.waitpid(child, 0)
os.close(into)
counter.add(1)
print(json.dumps({"parent": totals(), "child": json.loads(os.read(out, 65536)), "providers": len(readers)}))
"""


@pytest.fixture(scope="module")
def forked() -> dict[str, dict[str, list[float]]]:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, list[float]]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_counts_from_zero(forked: dict[str, dict[str, list[float]]]) -> None:
    """The SDK's own provider would report 6 here; a gauge that the child never set is not the child's."""
    child = forked["child"]
    assert (child["counter"], child["updown"], child["histogram"]) == ([1], [2], [1])
    assert "gauge" not in child


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_the_parent_goes_on_with_its_own_totals(forked: dict[str, dict[str, list[float]]]) -> None:
    """A fork costs the parent nothing."""
    parent = forked["parent"]
    assert (parent["counter"], parent["updown"], parent["histogram"], parent["gauge"]) == ([6], [5], [5], [1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_observed_instruments_are_asked_in_the_child_too(forked: dict[str, dict[str, list[float]]]) -> None:
    """Their callbacks move over to the child's provider."""
    assert str(forked["child"]["observed"]) == f"[{forked['child']['pid']}]"
