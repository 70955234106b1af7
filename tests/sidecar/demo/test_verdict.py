"""The check says yes only when the three counts agree, and otherwise which one does not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from sidecar.demo.verdict import check, check_forwarded, requests_on
from sidecar.recent import LOOK_ITEMS

METRICS = """\
# HELP http_requests_total Requests answered.
# TYPE http_requests_total counter
http_requests_total{handler="/predict",method="POST",status="200"} 40
http_requests_total{handler="/predict",method="POST",status="400"} 2.0 1763740931.5
http_requests_total{handler="/odd\\"status=\\"999\\"",method="GET",status="200"} 1
http_requests_total{handler="none",method="GET",status=""} 3
http_request_duration_seconds_count{handler="/predict",method="POST"} 42
"""
SENT = Counter({200: 41, 400: 2})


def summary(spans: int, *, forgotten: int = 0, skipped: int = 0, held: int = 0) -> dict[str, Any]:
    return {"recent": {"server_spans": spans, "forgotten": forgotten, "skipped": skipped, "spans": held}}


def test_the_text_of_metrics_is_read_by_status() -> None:
    """Timestamps, escaped quotes in a route and requests without a status are read right; other metrics are not."""
    assert requests_on(METRICS) == Counter({200: 41, 400: 2, 0: 3})
    assert requests_on("") == Counter()


def test_three_equal_counts_are_fine() -> None:
    verdict = check(SENT, 0, SENT, summary(43))
    assert verdict.ok
    assert verdict.lines == (
        "requests answered                        43",
        "http_requests_total on /metrics          43   =",
        "server spans in the sidecar              43   =",
        "by status: 200: 41, 400: 2",
    )


@pytest.mark.parametrize(
    ("on_metrics", "spans", "words"),
    [
        (Counter({200: 41}), 43, "MISMATCH: /metrics counts 41 requests, the traffic 43"),
        (Counter({200: 43, 400: 2}), 43, "MISMATCH: /metrics counts 45 requests, the traffic 43"),
        (Counter({200: 42, 400: 1}), 43, "MISMATCH: /metrics counts the same requests under other statuses"),
        (SENT, 42, "MISMATCH: 42 server spans were seen, the traffic had 43 requests"),
        (SENT, 44, "MISMATCH: 44 server spans were seen"),
    ],
)
def test_a_difference_is_named(on_metrics: Counter[int], spans: int, words: str) -> None:
    """Too few and too many are both wrong, and so is the right number under a wrong status."""
    verdict = check(SENT, 0, on_metrics, summary(spans))
    assert not verdict.ok
    assert words in "\n".join(verdict.lines)


def test_a_request_without_an_answer_may_have_been_counted() -> None:
    """The service may have answered into a broken connection: both counts are right then, and it is said."""
    assert check(SENT, 2, SENT, summary(45)).ok
    assert not check(SENT, 2, SENT, summary(46)).ok
    assert "  and without an answer                   2" in check(SENT, 2, SENT, summary(43)).lines[1]


@pytest.mark.parametrize("full", [summary(9, forgotten=1), summary(9, skipped=1), summary(9, held=LOOK_ITEMS + 1)])
def test_spans_that_made_room_are_not_compared(full: dict[str, Any]) -> None:
    """After hours the ring no longer holds the first spans: said, and no mismatch."""
    verdict = check(SENT, 0, SENT, full)
    assert verdict.ok
    assert "not compared" in verdict.lines[2]


def test_no_traffic_is_no_success() -> None:
    """Nothing sent, nothing counted: that proves nothing."""
    assert not check(Counter(), 0, Counter(), summary(0)).ok


def test_what_was_forwarded_must_be_everything() -> None:
    """Each target has to have all spans; what waits or was dropped is named."""

    def account(forwarded: int, **more: Any) -> dict[str, Any]:
        row = {"signal": "traces", "target": "http://c:4318", "received": 9, "queued": 9 - forwarded, "dropped": {}}
        return {"accounts": [{**row, "forwarded": forwarded, **more}]}

    assert check_forwarded(account(9), ["http://c:4318"]).ok
    assert check_forwarded(account(0), []).ok
    assert not check_forwarded({"accounts": []}, ["http://c:4318"]).ok
    short = check_forwarded(account(4, queued=3, dropped={"expired": 2}), ["http://c:4318"])
    assert not short.ok
    assert short.lines == (
        "spans forwarded to http://c:4318: 4 of 9",
        "MISMATCH: 3 spans still wait for http://c:4318, 2 dropped (expired)",
    )
