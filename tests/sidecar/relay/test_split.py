"""A split request is two valid ones with the same items, each still under its own resource and scope."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings

from sidecar.batch import Signal
from sidecar.receive.wire import count_items
from sidecar.relay.split import split
from tests.support.otlp_requests import REQUESTS, items_of, log_body, requests, trace_body


def _with_surroundings(signal: Signal, request: Any) -> list[Any]:
    """Every item with the resource and scope it belongs to."""
    if signal is Signal.METRICS:
        return [
            (r.resource, s.scope, metric.name, metric.unit, item)
            for r in request.resource_metrics
            for s in r.scope_metrics
            for metric in s.metrics
            for item in (getattr(metric, metric.WhichOneof("data")).data_points if metric.WhichOneof("data") else [])
        ]
    if signal is Signal.LOGS:
        return [
            (r.resource, s.scope, item) for r in request.resource_logs for s in r.scope_logs for item in s.log_records
        ]
    return [
        (r.resource, r.schema_url, s.scope, item)
        for r in request.resource_spans
        for s in r.scope_spans
        for item in s.spans
    ]


@settings(deadline=None, max_examples=50)
@given(requests)
def test_halves_have_every_item_under_its_own_resource(made: tuple[Signal, Any]) -> None:
    signal, request = made
    halves = split(signal, request.SerializeToString())
    if halves is None:
        assert len(items_of(signal, request)) <= 1
        return
    read = [REQUESTS[signal].FromString(half) for half in halves]
    assert _with_surroundings(signal, read[0]) + _with_surroundings(signal, read[1]) == _with_surroundings(
        signal, request
    )


def test_splitting_again_and_again_ends_at_single_items() -> None:
    pending, single = [trace_body(37, padding=100)], []
    while pending:
        body = pending.pop()
        halves = split(Signal.TRACES, body)
        if halves is None:
            single.append(body)
        else:
            assert max(map(len, halves)) < len(body)
            pending += halves
    assert [count_items(Signal.TRACES, body) for body in single] == [1] * 37


def test_what_has_one_item_or_none_is_not_split() -> None:
    assert split(Signal.LOGS, log_body(1)) is None
    assert split(Signal.LOGS, b"") is None
