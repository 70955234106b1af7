"""A trace is marked to be kept for a reason, once, and only marked traces become exemplars."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from starlette.testclient import TestClient

from instrumentation import instrument
from instrumentation.keep import KeepRules, KeepState, KeptExemplars, begin_keep, request_keep
from tests.support.memory import Telemetry

KEEP, REASON = "otel_sidecar.keep", "otel_sidecar.keep_reason"
ALL, NONE = KeepRules(ratio=1), KeepRules(ratio=0)


def client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def build() -> FastAPI:
    app = FastAPI()

    @app.get("/fine")
    async def fine() -> str:
        return "fine"

    @app.get("/missing-teapot", status_code=418)
    async def teapot() -> str:
        return "short"

    @app.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.02)
        return "slow"

    @app.get("/unavailable", status_code=503)
    async def unavailable() -> str:
        return "no"

    @app.get("/boom")
    async def boom() -> None:
        raise KeyError("the cause")

    @app.get("/unsure")
    def unsure() -> str:
        request_keep().keep("low_confidence")
        return "perhaps"

    @app.get("/unsure-and-broken", status_code=500)
    async def unsure_and_broken() -> str:
        request_keep().keep("low_confidence")
        return "perhaps"

    @app.get("/later")
    async def later(tasks: BackgroundTasks) -> str:
        tasks.add_task(lambda: request_keep().keep("low_confidence"))
        return "done"

    return app


def server_span(telemetry: Telemetry) -> dict[str, Any]:
    (span,) = [span for span in telemetry.spans() if span.kind is SpanKind.SERVER]
    return dict(span.attributes or {})


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/fine", None),
        ("/missing-teapot", None),
        ("/nowhere", None),
        ("/slow", "slow"),
        ("/unavailable", "error"),
        ("/boom", "error"),
        ("/unsure", "low_confidence"),
        ("/unsure-and-broken", "low_confidence"),
        ("/later", None),
    ],
)
def test_a_request_is_marked_for_its_reason(path: str, reason: str | None, telemetry: Telemetry) -> None:
    """Errors, slowness and what the service marked; a client's error is none, and after the answer it is too late."""
    app = build()
    instrument(app, slow={"/slow": 0.01})
    client(app).get(path)
    attributes = server_span(telemetry)
    assert (attributes.get(KEEP), attributes.get(REASON)) == (True if reason else None, reason)


def test_the_ratio_marks_what_has_no_other_reason(monkeypatch: pytest.MonkeyPatch, telemetry: Telemetry) -> None:
    """A share of 1 keeps every trace; a better reason replaces it."""
    monkeypatch.setenv("OTEL_SIDECAR_KEEP_RATIO", "1")
    app = build()
    instrument(app)
    client(app).get("/fine")
    client(app).get("/boom")
    assert [(span.attributes or {})[REASON] for span in telemetry.spans()] == ["ratio", "error"]


def test_a_websocket_that_fails_is_kept(telemetry: Telemetry) -> None:
    """Its server span carries the mark as a request's does."""
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(socket: WebSocket) -> None:
        await socket.accept()
        raise KeyError("lost")

    instrument(app)
    with pytest.raises(KeyError), client(app).websocket_connect("/ws"):
        pass
    assert server_span(telemetry)[REASON] == "error"


def test_a_failed_background_task_keeps_the_trace(telemetry: Telemetry) -> None:
    """The server span has ended by then: the mark is on the task's own span."""
    app = FastAPI()

    def task() -> None:
        raise KeyError("lost")

    @app.get("/later")
    async def later(tasks: BackgroundTasks) -> str:
        tasks.add_task(task)
        return "done"

    instrument(app)
    client(app).get("/later")
    background = telemetry.span("background")
    assert (background.attributes or {})[REASON] == "error"
    assert KEEP not in server_span(telemetry)


@pytest.mark.parametrize("order", ["before", "after"])
def test_where_the_stock_instrumentor_owns_the_span_nothing_breaks(order: str, telemetry: Telemetry) -> None:
    """Around us its span takes the final mark; inside of us only what is marked while it is current."""
    app = build()
    if order == "before":
        FastAPIInstrumentor.instrument_app(app)
    instrument(app)
    if order == "after":
        FastAPIInstrumentor.instrument_app(app)
    try:
        client(app).get("/unsure")
        assert server_span(telemetry)[REASON] == "low_confidence"
        client(app).get("/boom")
    finally:
        FastAPIInstrumentor.uninstrument_app(app)


@given(trace_id=st.integers(1, 2**128 - 1), low=st.floats(0, 1), high=st.floats(0, 1))
@settings(deadline=None, max_examples=200)
def test_a_higher_ratio_keeps_all_that_a_lower_one_keeps(trace_id: int, low: float, high: float) -> None:
    """Services with different ratios agree on the smaller share; 0 is none and 1 is all."""
    low, high = sorted((low, high))
    assert not KeepRules(ratio=low).by_ratio(trace_id) or KeepRules(ratio=high).by_ratio(trace_id)
    assert KeepRules(ratio=1).by_ratio(trace_id)
    assert not KeepRules(ratio=0).by_ratio(trace_id)


def test_the_ratio_is_a_share() -> None:
    """Of evenly spread ids a tenth is kept, whatever their upper bits."""
    step = 2**56 // 1000
    kept = sum(KeepRules(ratio=0.1).by_ratio((index << 64) + index * step) for index in range(1000))
    assert kept == pytest.approx(100, abs=1)


def test_an_unsampled_trace_cannot_be_kept() -> None:
    """There would be nothing to open."""
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("test")
    state, _ = begin_keep(tracer.start_span("server"), otel_context.Context(), ALL)
    state.keep("error")
    assert not state.kept


def test_an_ended_span_cannot_be_marked() -> None:
    """Nobody would see the mark, so nothing says that it is there."""
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("server")
    state = KeepState(span)
    span.end()
    state.keep("error")
    assert not state.kept


def test_the_mark_survives_a_limit_of_attributes(monkeypatch: pytest.MonkeyPatch, telemetry: Telemetry) -> None:
    """An SDK at its limit drops the oldest attributes; the mark is the newest."""
    monkeypatch.setenv("OTEL_SIDECAR_KEEP_RATIO", "1")
    app = FastAPI()

    @app.get("/")
    async def many() -> None:
        for index in range(200):
            trace.get_current_span().set_attribute(f"a{index}", index)

    instrument(app)
    client(app).get("/")
    assert SpanLimits().max_span_attributes == 128
    assert server_span(telemetry)[KEEP] is True


class Kept:
    """A meter provider with the filter, and the traces that its exemplars name."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], exemplar_filter=KeptExemplars(), shutdown_on_exit=False)
        self.record: Callable[..., None] = self.provider.get_meter("test").create_histogram("h").record

    def traces(self) -> set[int | None]:
        data = self.reader.get_metrics_data()
        points: Iterator[Any] = (
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        )
        return {exemplar.trace_id for point in points for exemplar in point.exemplars}


ACTIONS = ("record", "keep", "record_in_other_trace", "record_in_child", "end")


@given(
    requests=st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from(ACTIONS), max_size=8)), min_size=1, max_size=6)
)
@settings(deadline=None, max_examples=60)
def test_an_exemplars_trace_always_carries_the_mark(requests: list[tuple[bool, list[str]]]) -> None:
    """Whatever is recorded when: before the mark, after it, after the end, in a child, in a trace of its own."""
    kept = Kept()
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    marked, unmarked = set[int](), set[int]()
    for index, (by_ratio, actions) in enumerate(requests):
        span: Any = tracer.start_span("server")
        state, context = begin_keep(span, trace.set_span_in_context(span), ALL if by_ratio else NONE)
        for step, action in enumerate(actions):
            value = index * 100 + step
            if action == "record":
                kept.record(value, context=context)
            elif action == "keep":
                state.keep("error")
            elif action == "end":
                span.end()
            elif action == "record_in_child":
                child = tracer.start_span("child", context)
                kept.record(value, context=trace.set_span_in_context(child, context))
            else:
                other = tracer.start_span("other", otel_context.Context())
                kept.record(value, context=trace.set_span_in_context(other, context))
                unmarked.add(other.get_span_context().trace_id)
        (marked if KEEP in span.attributes else unmarked).add(span.context.trace_id)
    assert kept.traces() <= marked
    assert not kept.traces() & unmarked


def test_what_is_recorded_in_a_kept_request_is_an_exemplar() -> None:
    """The filter is no way to have none at all."""
    kept = Kept()
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("server")
    _, context = begin_keep(span, trace.set_span_in_context(span), ALL)
    kept.record(1, context=context)
    assert kept.traces() == {span.get_span_context().trace_id}


def test_outside_of_a_request_the_current_span_is_what_is_marked() -> None:
    """A background worker's prediction marks its own span, and its measurements become exemplars."""
    kept = Kept()
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("predict") as span:
        kept.record(1)
        assert kept.traces() == set()
        request_keep().keep("low_confidence")
        kept.record(1)
        assert kept.traces() == {span.get_span_context().trace_id}
    kept.record(1)
    request_keep().keep("error")
    assert kept.traces() == set()
