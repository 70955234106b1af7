"""Traces are put together from whatever arrives: late, twice, without parents, with wrong clocks."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sidecar.recent.traces import MAX_ITEMS, MAX_SPANS, MAX_TEXT, Found, Trace, assemble, spans_of
from tests.support.spans import MS, T0, batch, span

RESOURCE = (("service.name", "shop"),)


def trace_of(*spans: Span) -> Trace:
    return assemble(spans[0].trace_id, [Found(one, RESOURCE) for one in spans])


def test_children_follow_their_parents_whatever_the_order() -> None:
    """Spans that arrive children first are shown parents first, siblings by time, with their depth."""
    spans = [
        span(1, name="POST /predict", ms=30, kind=Span.SPAN_KIND_SERVER),
        span(2, 1, name="predict", start_ms=1, ms=28),
        span(3, 2, name="preprocess", start_ms=2, ms=10),
        span(4, 2, name="inference", start_ms=13, ms=15),
    ]
    orders = [random.Random(seed).sample(spans, len(spans)) for seed in range(5)]
    for trace in (trace_of(*order) for order in orders):
        assert [(line.name, line.depth) for line in trace.spans] == [
            ("POST /predict", 0),
            ("predict", 1),
            ("preprocess", 2),
            ("inference", 2),
        ]
        assert (trace.name, trace.service, trace.start_ns, trace.duration_ns) == ("POST /predict", "shop", T0, 30 * MS)
        assert trace.spans[3].offset_ns == 13 * MS
        assert (trace.spans[0].kind, trace.spans[3].kind) == ("server", "internal")


def test_a_retried_span_is_shown_once() -> None:
    """An export that was retried delivers its spans twice; the waterfall has each once."""
    assert len(trace_of(span(1), span(2, 1), span(1), span(2, 1)).spans) == 2


def test_a_missing_parent_leaves_an_orphan() -> None:
    """A span whose parent is lost or belongs to another service stands at the top and says so."""
    trace = trace_of(span(5, 99, name="inner"), span(6, 5, name="inmost"))
    assert [(line.name, line.depth, line.orphan) for line in trace.spans] == [("inner", 0, True), ("inmost", 1, False)]
    assert trace.name == "inner"


def test_a_root_names_the_trace_even_beside_an_earlier_orphan() -> None:
    """An orphan with a clock that is ahead does not take the root's place."""
    trace = trace_of(span(1, name="root", start_ms=5), span(2, 99, name="early", start_ms=0))
    assert trace.name == "root"
    assert [line.offset_ns for line in trace.spans] == [0, 5 * MS]


def test_clocks_that_disagree_give_no_negative_times() -> None:
    """A child that begins before its parent, or ends before it begins, is drawn inside the trace."""
    wrong = span(2, 1, start_ms=-40, ms=5)
    backwards = span(3, 1, start_ms=8)
    backwards.end_time_unix_nano = backwards.start_time_unix_nano - 5 * MS
    trace = trace_of(span(1), wrong, backwards)
    assert all(line.offset_ns >= 0 and line.duration_ns >= 0 for line in trace.spans)
    assert trace.start_ns == T0 - 40 * MS
    assert trace.duration_ns == 50 * MS


def test_a_start_that_was_never_set_does_not_begin_in_1970() -> None:
    """A start of zero counts as the span's end."""
    unset = span(2, 1)
    unset.start_time_unix_nano = 0
    trace = trace_of(span(1), unset)
    assert trace.start_ns == T0
    assert trace.spans[1].duration_ns == 0


def test_circles_are_shown_not_followed() -> None:
    """Spans that name each other, or themselves, as parent each appear once."""
    trace = trace_of(span(1, 2), span(2, 1), span(3, 3))
    assert sorted(line.span_id[-1] for line in trace.spans) == ["1", "2", "3"]


def test_a_very_deep_and_a_very_wide_trace_are_cut() -> None:
    """What a page can show is bounded, what is left out is counted, and depth costs no recursion."""
    deep = trace_of(span(1), *(span(i, i - 1, start_ms=i) for i in range(2, 3000)))
    assert (len(deep.spans), deep.left_out, deep.spans[-1].depth) == (MAX_SPANS, 2999 - MAX_SPANS, MAX_SPANS - 1)
    wide = trace_of(span(1), *(span(i, 1, start_ms=i) for i in range(2, 900)))
    assert (len(wide.spans), wide.left_out) == (MAX_SPANS, 899 - MAX_SPANS)


def test_an_error_anywhere_marks_the_trace() -> None:
    """The failing span carries status and message, the trace that it failed."""
    trace = trace_of(span(1), span(2, 1, error="no picture"))
    assert trace.error
    assert (trace.spans[1].status, trace.spans[1].status_message, trace.spans[0].status) == (
        "error",
        "no picture",
        "unset",
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (AnyValue(string_value="cat"), "cat"),
        (AnyValue(bool_value=True), "true"),
        (AnyValue(int_value=-3), "-3"),
        (AnyValue(double_value=0.93), "0.93"),
        (AnyValue(bytes_value=b"\x01\xff"), "01ff"),
        (AnyValue(), ""),
        (AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="ä"), AnyValue(int_value=1)])), '["ä", 1]'),
        (
            AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(bool_value=False))])),
            '{"k": false}',
        ),
    ],
)
def test_attribute_values_become_text(value: AnyValue, text: str) -> None:
    """Every kind of OTLP value has a readable form."""
    assert trace_of(span(1, attributes={"k": value})).spans[0].attributes == (("k", text),)


def test_a_long_value_is_cut_and_says_so() -> None:
    """A prompt of a megabyte does not become a page of a megabyte."""
    text = trace_of(span(1, attributes={"k": AnyValue(string_value="x" * 10_000)})).spans[0].attributes[0][1]
    assert len(text) < MAX_TEXT + 50
    assert text.endswith("... (10,000 characters)")


def test_attributes_and_events_are_bounded() -> None:
    """A span with thousands of either shows what fits a page."""
    one = span(1, attributes={f"k{i}": AnyValue(int_value=i) for i in range(1000)})
    for i in range(1000):
        one.events.add(name="e", time_unix_nano=T0 + i)
    line = trace_of(one).spans[0]
    assert len(line.attributes) == len(line.events) == MAX_ITEMS


def test_events_are_shown_in_order_of_time() -> None:
    """An exception's event keeps its attributes and its place in the trace."""
    one = span(1)
    one.events.add(name="second", time_unix_nano=T0 + 5 * MS)
    one.events.add(
        name="first",
        time_unix_nano=T0 + 2 * MS,
        attributes=[KeyValue(key="exception.type", value=AnyValue(string_value="ValueError"))],
    )
    events = trace_of(one).spans[0].events
    assert [(event.name, event.offset_ns) for event in events] == [("first", 2 * MS), ("second", 5 * MS)]
    assert events[0].attributes == (("exception.type", "ValueError"),)


def test_only_wanted_traces_are_taken_out_of_a_request() -> None:
    """Spans of other traces, and spans without an id, stay where they are."""
    request = ExportTraceServiceRequest.FromString(
        batch(span(1, trace=1), span(2, trace=2), span(0, trace=1), span(3, trace=1)).body
    )
    found = spans_of(request, {(1).to_bytes(16, "big")})
    nameless = (0).to_bytes(8, "big")
    assert [one.span.span_id[-1] for one in found[(1).to_bytes(16, "big")] if one.span.span_id != nameless] == [1, 3]
    assert len(found) == 1


@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.integers(0, 12), st.integers(-50, 50), st.integers(-5, 40)),
        min_size=1,
        max_size=25,
    )
)
@settings(deadline=None, max_examples=80)
def test_any_spans_make_a_trace(parts: list[tuple[int, int, int, int]]) -> None:
    """Whatever ids, parents and clocks come: every id once, parents before children, all times inside the trace."""
    spans = [span(own, parent, start_ms=start, ms=length) for own, parent, start, length in parts]
    trace = trace_of(*spans)
    ids = [line.span_id for line in trace.spans]
    assert sorted(ids) == sorted({one.span_id.hex() for one in spans})
    place = {span_id: at for at, span_id in enumerate(ids)}
    for line in trace.spans:
        assert line.offset_ns >= 0
        assert line.offset_ns + line.duration_ns <= max(trace.duration_ns, line.offset_ns)
        if line.depth:
            assert place[line.parent_id] < place[line.span_id]
    assert all(later.depth <= earlier.depth + 1 for earlier, later in pairwise(trace.spans))
