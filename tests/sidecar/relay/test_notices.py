"""The log tells when things change, and never has a line per batch."""

from __future__ import annotations

import logging
import time

import pytest

from sidecar.batch import Signal
from sidecar.ledger import Dropped
from sidecar.relay.notices import Notices


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_an_outage_is_told_once_a_minute_and_its_end_once(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = Notices("http://t")
    told.answered()
    for _ in range(130):
        told.failed("HTTP 503")
        clock[0] += 1
    told.answered()
    told.answered()
    assert caplog.messages == [
        *["http://t takes no data, which waits in the queue: HTTP 503"] * 3,
        "http://t answers again after 130.0 s",
    ]


def test_drops_are_summed_up(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    told = Notices("http://t")
    for _ in range(100):
        told.dropped(Signal.TRACES, 5, Dropped.INVALID, "HTTP 400")
    told.flush()
    assert caplog.messages == [
        "5 items of traces for http://t dropped (invalid): HTTP 400",
        "495 items of traces for http://t dropped (invalid): HTTP 400",
    ]
