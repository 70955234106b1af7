"""A look joins the rooms: rates need two looks, silence is noticed, the trend grows while someone watches."""

from __future__ import annotations

import time

import pytest

from sidecar.batch import Signal
from sidecar.bridge import Bridge, BridgeSettings
from sidecar.ledger import Ledger
from sidecar.page.summary import Looker, Summary
from sidecar.recent import Recent
from tests.sidecar.page.pods import Worker


class Watched:
    """A pod with one worker and a clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.worker = Worker("a")
        self._bridge, self._ledger = Bridge(BridgeSettings()), Ledger()
        self._ledger.open(Signal.METRICS, "bridge")
        self._looker = Looker(self._bridge, Recent(1000), monotonic_s=lambda: self.now_s)

    def export(self) -> None:
        self._bridge.offer(self.worker.export(time.time_ns()))
        self._ledger.received(Signal.METRICS, 1)
        self._ledger.forwarded(Signal.METRICS, "bridge", 1)

    def look(self, at_s: float) -> Summary:
        self.now_s = at_s
        return self._looker.look(self._ledger.snapshot())


def test_rates_come_with_the_second_look() -> None:
    """The first look shows the mean since the start, the second what happened between them."""
    pod = Watched()
    pod.worker.request(0.02)
    pod.export()
    first = pod.look(100).figures
    assert (first.since_start, first.requests.total) == (True, 1)
    for _ in range(30):
        pod.worker.request(0.02)
    pod.export()
    second = pod.look(115).figures
    assert (second.since_start, second.window_s) == (False, 15.0)
    assert second.requests.rate == pytest.approx(2.0)
    assert second.requests.total == 31


def test_the_trend_has_a_point_for_every_look() -> None:
    """Requests per second and p95 between looks, oldest first."""
    pod = Watched()
    pod.worker.request(0.02)
    pod.export()
    assert pod.look(10).trend == ()
    for at in (20, 30):
        for _ in range(at):
            pod.worker.request(0.02)
        pod.export()
        pod.look(at)
    trend = pod.look(31).trend
    assert [(point.ago_s, point.rate) for point in trend] == [(11.0, 2.0), (1.0, 3.0)]
    assert trend[0].p95 == pytest.approx(0.024, abs=0.002)


def test_a_service_that_fell_silent_is_noticed() -> None:
    """No export for a minute while someone looks: a sentence; with exports none."""
    pod = Watched()
    pod.worker.request(0.02)
    pod.export()
    pod.look(0)
    pod.look(20)
    assert [notice.text for notice in pod.look(50).notices] == [
        "Nothing was received for 50 s: are the services running?"
    ]
    pod.export()
    assert pod.look(55).notices == ()


def test_viewers_at_the_same_time_share_a_look() -> None:
    """Ten people who watch an incident cost what one does."""
    pod = Watched()
    pod.worker.request(0.02)
    pod.export()
    first = pod.look(100)
    assert pod.look(100.4) is first
    assert pod.look(101) is not first
