"""The ring of recent traces as a stage and as what the page looks at."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from sidecar.batch import Accepted, Batch, Signal
from sidecar.recent import Pick, Recent, recent
from sidecar.recent.index import RequestIndex, index_request
from tests.support.spans import T0, batch, sdk_batch, span

MIB = 1 << 20


def hex_id(trace: int) -> str:
    return trace.to_bytes(16, "big").hex()


def test_the_real_sdks_spans_become_a_waterfall() -> None:
    """Spans of opentelemetry-sdk through its own encoder: names, depth, kind, attributes, service, exception event."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "catvsdog-api"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    server = tracer.start_as_current_span("POST /predict", kind=SpanKind.SERVER, attributes={"http.route": "/predict"})
    with suppress(ValueError), server, tracer.start_as_current_span("predict catvsdog"):
        with tracer.start_as_current_span("preprocess", attributes={"ml.batch": [1, 2]}):
            pass
        raise ValueError("no picture")
    shown = Recent(MIB)
    assert shown.offer(sdk_batch(exporter.get_finished_spans())) == Accepted()
    (trace,) = shown.traces()
    assert (trace.name, trace.service, trace.error) == ("POST /predict", "catvsdog-api", True)
    assert [(line.name, line.kind, line.depth) for line in trace.spans] == [
        ("POST /predict", "server", 0),
        ("predict catvsdog", "internal", 1),
        ("preprocess", "internal", 2),
    ]
    assert trace.spans[0].attributes == (("http.route", "/predict"),)
    assert trace.spans[2].attributes == (("ml.batch", "[1, 2]"),)
    (event,) = trace.spans[1].events
    assert event.name == "exception"
    assert dict(event.attributes)["exception.message"] == "no picture"
    assert shown.trace(trace.trace_id) == trace
    assert shown.server_spans() == 1


def test_a_trace_is_joined_across_requests_and_workers() -> None:
    """Spans of one trace that come in three requests of two services are one waterfall."""
    shown = Recent(MIB)
    shown.offer(batch(span(3, 2, start_ms=2, ms=3, name="inference"), service="model"))
    assert shown.traces() == ()
    shown.offer(batch(span(1, name="GET /", ms=10, kind=Span.SPAN_KIND_SERVER), service="web"))
    (half,) = shown.traces()
    assert [(line.name, line.orphan) for line in half.spans] == [("GET /", False), ("inference", True)]
    shown.offer(batch(span(2, 1, start_ms=1, ms=8, name="POST /predict", kind=Span.SPAN_KIND_SERVER), service="model"))
    (whole,) = shown.traces()
    assert [(line.name, line.service, line.depth) for line in whole.spans] == [
        ("GET /", "web", 0),
        ("POST /predict", "model", 1),
        ("inference", "model", 2),
    ]
    assert shown.server_spans() == 2


def test_newest_slowest_and_failed_first() -> None:
    """The page's three orders, each cut at the limit."""
    shown = Recent(MIB)
    shown.offer(batch(span(1, trace=1, start_ms=0, ms=500), span(1, trace=2, start_ms=600, error="broken")))
    shown.offer(batch(span(1, trace=3, start_ms=700), span(1, trace=4, start_ms=100, ms=200, error="late")))

    def picked(pick: Pick, limit: int = 50) -> list[int]:
        return [int(trace.trace_id, 16) for trace in shown.traces(limit, pick)]

    assert picked(Pick.NEWEST) == [3, 2, 1, 4]
    assert picked(Pick.NEWEST, 2) == [3, 2]
    assert picked(Pick.SLOWEST, 2) == [1, 4]
    assert picked(Pick.ERRORS) == [2, 4]


def test_a_trace_whose_root_is_still_on_its_way_waits() -> None:
    """Children are exported before the request that they are of has ended; ten seconds later it is shown as it is."""
    shown = Recent(MIB)
    shown.offer(batch(span(1, trace=1), span(2, 7, trace=2, start_ms=100), span(3, 7, trace=3, start_ms=-15_000)))
    assert [trace.trace_id for trace in shown.traces()] == [hex_id(1), hex_id(3)]
    shown.offer(batch(span(7, trace=2, start_ms=90, ms=50)))
    assert [trace.trace_id for trace in shown.traces()] == [hex_id(2), hex_id(1), hex_id(3)]
    called = Recent(MIB)
    called.offer(batch(span(2, 7, kind=Span.SPAN_KIND_SERVER)))
    assert len(called.traces()) == 1


def test_a_clock_in_the_future_does_not_stay_on_top() -> None:
    """An end time after the request's arrival counts as the arrival."""
    shown = Recent(MIB)
    shown.offer(batch(span(1, trace=1, start_ms=10**9), received_ns=T0 + 10**9))
    shown.offer(batch(span(1, trace=2, start_ms=1500), received_ns=T0 + 2 * 10**9))
    assert [trace.trace_id for trace in shown.traces()] == [hex_id(2), hex_id(1)]


def test_a_retried_request_is_counted_once() -> None:
    """A request that came twice shows its traces and its server spans once."""
    shown = Recent(MIB)
    twice = batch(span(1, kind=Span.SPAN_KIND_SERVER))
    shown.offer(twice)
    shown.offer(twice)
    assert shown.server_spans() == 1
    assert [len(trace.spans) for trace in shown.traces()] == [1]


def test_malformed_bytes_never_break_the_view() -> None:
    """A request that cannot be decoded is counted; the others are shown."""
    shown = Recent(MIB)
    shown.offer(batch(span(1)))
    shown.offer(Batch(Signal.TRACES, b"\xff\xff\xff\xff", 1, T0))
    shown.offer(Batch(Signal.TRACES, batch(span(2, trace=2)).body[:-3], 1, T0))
    assert [trace.trace_id for trace in shown.traces()] == [hex_id(1)]
    assert shown.unreadable() == 2


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=60)
def test_any_bytes_can_be_looked_at(body: bytes) -> None:
    """No body whatever makes looking raise."""
    shown = Recent(MIB)
    shown.offer(Batch(Signal.TRACES, body, 1, T0))
    shown.traces()
    assert shown.server_spans() >= 0


def test_a_request_is_decoded_once_however_often_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refresh of the page indexes only what arrived since."""
    indexed: list[bytes] = []

    def counting(one: Batch) -> RequestIndex:
        indexed.append(one.body)
        return index_request(one)

    monkeypatch.setattr(recent, "index_request", counting)
    shown = Recent(MIB)
    first, second = batch(span(1)), batch(span(1, trace=2))
    shown.offer(first)
    before = shown.traces()
    assert shown.traces()[0] is before[0]
    shown.offer(second)
    assert len(shown.traces()) == 2
    assert shown.trace(hex_id(1)) is before[0]
    assert indexed == [first.body, second.body]


def test_what_left_the_ring_is_forgotten() -> None:
    """Traces pushed out by newer ones are shown no more, and neither index nor cache keeps them."""
    body = len(batch(span(1)).body) + 256
    shown = Recent(3 * body)
    for trace in range(1, 8):
        shown.offer(batch(span(1, trace=trace)))
        shown.traces()
    assert {trace.trace_id for trace in shown.traces()} == {hex_id(5), hex_id(6), hex_id(7)}
    assert len(shown._index) == 3
    assert shown.trace(hex_id(1)) is None
    stats = shown.stats()
    assert (stats.requests, stats.spans, stats.forgotten, stats.skipped) == (3, 3, 4, 0)
    assert stats.held_bytes <= stats.max_bytes


def test_the_cache_of_traces_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at trace after trace does not collect them all."""
    monkeypatch.setattr(recent, "_CACHED_SPANS", 10)
    shown = Recent(MIB)
    for trace in range(1, 40):
        shown.offer(batch(span(1, trace=trace), span(2, 1, trace=trace)))
    for trace in range(1, 40):
        assert shown.trace(hex_id(trace)) is not None
    assert len(shown._assembled) <= 5
    assert len(shown.traces()) == 39


@pytest.mark.parametrize("wrong", ["", "zz", "00", "<script>", "0" * 31])
def test_an_id_that_is_none_is_not_found(wrong: str) -> None:
    """The id comes from an URL: anything else than a held trace gives None."""
    shown = Recent(MIB)
    shown.offer(batch(span(1)))
    assert shown.trace(wrong) is None


def test_a_ring_of_nothing_and_an_empty_request() -> None:
    """`--recent-bytes 0` keeps nothing; a request without spans takes no room."""
    none = Recent(0)
    none.offer(batch(span(1)))
    assert none.traces() == ()
    assert none.stats().skipped == 1
    shown = Recent(MIB)
    shown.offer(Batch(Signal.TRACES, b"", 0, T0))
    assert shown.stats().requests == 0


def test_looking_and_receiving_at_once() -> None:
    """Viewers in threads and the receiver never disturb each other: no error, and the last look sees the newest."""
    shown = Recent(64 * 1024)
    failures: list[BaseException] = []
    done = threading.Event()

    def look() -> None:
        try:
            while not done.is_set():
                shown.traces(20)
                shown.server_spans()
        except BaseException as error:
            failures.append(error)
            raise

    viewers = [threading.Thread(target=look) for _ in range(2)]
    for viewer in viewers:
        viewer.start()
    for trace in range(1, 400):
        shown.offer(batch(span(1, trace=trace, start_ms=trace)))
    done.set()
    for viewer in viewers:
        viewer.join()
    assert failures == []
    assert shown.traces(1)[0].trace_id == hex_id(399)
