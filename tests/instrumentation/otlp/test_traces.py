from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as stock
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from instrumentation.otlp import traces
from instrumentation.otlp.traces import encode_spans

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
VALUES = (
    st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats()
    | TEXT
    | st.binary(max_size=9)
    | st.lists(TEXT, max_size=3)
    | st.lists(st.floats(), max_size=3)
    | st.dictionaries(KEYS, st.none() | TEXT | st.integers(-9, 9), max_size=3)
)
ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=6)
TIMES = st.integers(0, (1 << 64) - 1)
STATES = st.dictionaries(st.sampled_from(["a", "b", "vendor"]), st.sampled_from(["1", "x=y", "z"]), max_size=3)
CONTEXTS = st.builds(
    SpanContext,
    trace_id=st.integers(1, (1 << 128) - 1),
    span_id=st.integers(1, (1 << 64) - 1),
    is_remote=st.booleans(),
    trace_flags=st.sampled_from([TraceFlags(0), TraceFlags(1)]),
    trace_state=STATES.map(lambda state: TraceState(list(state.items()))),
)
STATUSES = st.none() | st.builds(Status, st.just(StatusCode.ERROR), TEXT) | st.just(Status(StatusCode.OK))
STEPS = st.fixed_dictionaries(
    {
        "name": TEXT,
        "kind": st.sampled_from(list(SpanKind)),
        "parent": st.none() | CONTEXTS,
        "attributes": ATTRIBUTES,
        "events": st.lists(st.tuples(TEXT, ATTRIBUTES, TIMES), max_size=4),
        "links": st.lists(st.builds(Link, CONTEXTS, ATTRIBUTES), max_size=3),
        "start": TIMES,
        "end": TIMES,
        "status": STATUSES,
        "tracer": st.integers(0, 3),
    }
)

memory = InMemorySpanExporter()


def tracers(limits: SpanLimits) -> list[trace.Tracer]:
    """Two resources, and in each two scopes, of which one is made anew for each example."""
    made: list[trace.Tracer] = []
    for resource in (Resource({"service.name": "a"}, "https://schema/r"), Resource({"n": 1})):
        provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(memory))
        made += [
            provider.get_tracer("one", "1.0", "https://schema/s", {"scope": "attribute"}),
            provider.get_tracer("two"),
        ]
    return made


ROOMY = tracers(SpanLimits())
TIGHT = tracers(
    SpanLimits(
        max_events=1,
        max_links=1,
        max_span_attributes=2,
        max_event_attributes=1,
        max_link_attributes=1,
        max_span_attribute_length=3,
    )
)


def run(step: dict[str, Any], made: list[trace.Tracer]) -> None:
    parent = step["parent"]
    span = made[step["tracer"]].start_span(
        step["name"],
        context=trace.set_span_in_context(NonRecordingSpan(parent)) if parent else None,
        kind=step["kind"],
        attributes=step["attributes"],
        links=step["links"],
        start_time=step["start"],
    )
    for name, attributes, at in step["events"]:
        span.add_event(name, attributes, at)
    if step["status"]:
        span.set_status(step["status"])
    span.end(step["end"])


def expected(spans: Any) -> ExportTraceServiceRequest:
    """The stock encoder's message, with the links' trace state that it leaves out."""
    message = stock(spans)
    by_id = {span.context.span_id: span for span in spans}
    for of_resource in message.resource_spans:
        for of_scope in of_resource.scope_spans:
            for encoded in of_scope.spans:
                links = by_id[int.from_bytes(encoded.span_id, "big")].links
                for link, encoded_link in zip(links, encoded.links, strict=True):
                    encoded_link.trace_state = link.context.trace_state.to_header()
    return message


def canonical(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=5), st.sampled_from(["roomy", "tight"]))
def test_spans_of_the_sdk_are_the_stock_encoders_message(steps: list[dict[str, Any]], limits: str) -> None:
    memory.clear()
    for step in steps:
        run(step, ROOMY if limits == "roomy" else TIGHT)
    spans = memory.get_finished_spans()
    message = ExportTraceServiceRequest.FromString(encode_spans(spans))
    assert canonical(message) == canonical(expected(spans))


def a_span(**changes: Any) -> ReadableSpan:
    given_values: dict[str, Any] = {
        "name": "s",
        "context": SpanContext(1, 2, is_remote=False),
        "resource": Resource({}),
    }
    return ReadableSpan(**given_values | changes)


def only(span: ReadableSpan) -> Any:
    message = ExportTraceServiceRequest.FromString(encode_spans([span]))
    return message.resource_spans[0].scope_spans[0].spans[0]


def test_a_bare_span_is_the_stock_encoders_message() -> None:
    """No scope, no times, no status description, plain containers instead of the SDK's bounded ones."""
    spans = [a_span(), a_span(attributes={"a": 1}, events=[], links=[])]
    assert ExportTraceServiceRequest.FromString(encode_spans(spans)) == stock(spans)


def test_equal_scopes_made_for_each_request_share_one_level() -> None:
    spans = [a_span(instrumentation_scope=InstrumentationScope("same", "1")) for _ in range(20)]
    message = ExportTraceServiceRequest.FromString(encode_spans(spans))
    assert len(message.resource_spans[0].scope_spans[0].spans) == 20
    assert message == stock(spans)


def test_a_given_resource_replaces_every_spans_own() -> None:
    spans = [a_span(resource=Resource({"process.pid": pid})) for pid in (1, 2)]
    message = ExportTraceServiceRequest.FromString(encode_spans(spans, Resource({"process.pid": 3}, "https://schema")))
    [of_resource] = message.resource_spans
    assert [a.value.int_value for a in of_resource.resource.attributes] == [3]
    assert of_resource.schema_url == "https://schema"
    assert len(of_resource.scope_spans[0].spans) == 2


def test_lone_surrogates_anywhere_cost_only_themselves() -> None:
    broken = "x\ud800"
    span = a_span(name=broken, attributes={broken: broken}, status=Status(StatusCode.ERROR, broken))
    encoded = only(span)
    assert (encoded.name, encoded.status.message, encoded.attributes[0].key) == ("x?", "x?", "x?")


def test_a_name_that_is_no_string_becomes_one() -> None:
    """`update_name` takes anything."""
    assert [only(a_span(name=name)).name for name in (404, "404", True)] == ["404", "404", "True"]


def test_a_span_without_the_sdks_private_lists_keeps_events_and_links() -> None:
    """The private lists are a hint only: an SDK without them costs time, not data."""

    class Other(ReadableSpan):
        def __getattribute__(self, name: str) -> Any:
            if name in {"_events", "_links"}:
                raise AttributeError(name)
            return super().__getattribute__(name)

        events = (Event("e", timestamp=1),)
        links = (Link(SpanContext(1, 2, is_remote=True)),)
        dropped_events = dropped_links = 0

    encoded = only(Other("n", SpanContext(1, 2, is_remote=False), resource=Resource({})))
    assert (encoded.events[0].name, encoded.links[0].span_id) == ("e", bytes([0] * 7 + [2]))


def test_a_span_without_a_context_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="span 'lost' has no context"):
        encode_spans([ReadableSpan("lost", resource=Resource({}))])


def test_names_are_remembered_within_bounds() -> None:
    for number in range(2000):
        encode_spans([a_span(name=f"GET /items/{number}")])
    encode_spans([a_span(name="x" * 1000)])
    assert len(traces._names) <= traces._MAX_NAMES
    assert "x" * 1000 not in traces._names


def test_no_spans_are_an_empty_request() -> None:
    assert encode_spans([]) == b""
