"""A label that leaks a million values costs bounded memory, and every point is accounted for."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.processes import clean_env, python

pytestmark = pytest.mark.integration

MILLION = 1_000_000
# With the defaults' 250,000 streams this is some 140 MB; without a bound it would be 600.
ALLOWED_MB = 200

# In a process of its own: memory that others have freed would hide what this takes. Points, not bytes: the time goes
# into the store then.
LEAK = """
import json
from sidecar.bridge import stats
from sidecar.bridge.merge import families
from sidecar.bridge.model import Kind
from sidecar.bridge.points import Descriptor, Export, MetricPoints, Point, Scope
from sidecar.bridge.store import Store

def megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

START = 10**18
store, leak = Store(), Descriptor(Scope("lib"), "requests", Kind.COUNTER)
before, most = megabytes(), 0.0
for export in range(100):
    points = tuple(
        Point((("user.id", f"{export}-{place}"), ("zone", "a")), START, START + export + 1, 1) for place in range(10000)
    )
    store.offer(Export((("worker", "1"),), (MetricPoints(leak, "", False, points),)), START + export + 1)
    most = max(most, megabytes() - before)
(family,), problems = families(store, {}, START + 100)
shown = {dict(series.attributes).get("otel.metric.overflow", "own"): 0 for series in family.series}
for series in family.series:
    shown[dict(series.attributes).get("otel.metric.overflow", "own")] += series.value
print(json.dumps({
    "most": most, "series": len(family.series), "shown": shown, "streams": store.streams,
    "dropped": store.tally.dropped, "guilty": stats.overflowed(store), "problems": len(problems),
}))
"""


def test_a_million_values_of_one_label() -> None:
    done = subprocess.run(python("-c", LEAK), capture_output=True, check=True, text=True, env=clean_env(), timeout=240)
    found = json.loads(done.stdout)
    assert found["most"] < ALLOWED_MB
    assert found["series"] == 2001
    assert found["shown"] == {"own": 2000, "true": found["streams"] - 2000}
    # What there was no room for is counted: the total and the drops are all that was sent.
    assert sum(found["shown"].values()) + found["dropped"]["stream_limit"] == MILLION
    assert found["guilty"] == {"requests": {"user.id": 2000, "zone": 1}}
    assert found["problems"] == 0
