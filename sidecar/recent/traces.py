"""Builds traces out of spans that came in any order, from any worker, twice or not at all.

Nothing here trusts the sender: parents may be missing or form a circle, clocks may disagree, ids may repeat.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

#: What a page can show: spans of one trace, attributes and events of one span, characters of one value.
MAX_SPANS: Final = 500
MAX_ITEMS: Final = 128
MAX_TEXT: Final = 2000

Attributes = tuple[tuple[str, str], ...]

_KINDS: Final = {
    Span.SPAN_KIND_INTERNAL: "internal",
    Span.SPAN_KIND_SERVER: "server",
    Span.SPAN_KIND_CLIENT: "client",
    Span.SPAN_KIND_PRODUCER: "producer",
    Span.SPAN_KIND_CONSUMER: "consumer",
}
_STATUS: Final = {Status.STATUS_CODE_OK: "ok", Status.STATUS_CODE_ERROR: "error"}


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened in a span, `offset_ns` after the trace began."""

    name: str
    offset_ns: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class SpanView:
    """A span as a line of a waterfall.

    Attributes:
        span_id: 16 hex digits.
        parent_id: 16 hex digits, or empty.
        name: as the service gave it.
        kind: internal, server, client, producer, consumer, or unspecified.
        service: `service.name` of its resource, or `unknown_service`.
        depth: 0 for a root and for a span whose parent is not here.
        offset_ns: from the trace's start to the span's, nanoseconds.
        duration_ns: nanoseconds, 0 when the clock went backwards.
        status: ok, error or unset.
        status_message: what the service said of an error.
        attributes: of the span, as text.
        resource: attributes of its resource, as text.
        events: in order of time.
        orphan: it names a parent that is not here.
    """

    span_id: str
    parent_id: str
    name: str
    kind: str
    service: str
    depth: int
    offset_ns: int
    duration_ns: int
    status: str
    status_message: str
    attributes: Attributes
    resource: Attributes
    events: tuple[SpanEvent, ...]
    orphan: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """All spans of one trace that are still here.

    Attributes:
        trace_id: 32 hex digits.
        service: of its root.
        name: of its root.
        start_ns: of its earliest span, nanoseconds since the epoch.
        duration_ns: from its earliest start to its latest end, nanoseconds.
        error: a span of it failed.
        spans: parents before their children, siblings by time; at most `MAX_SPANS`.
        left_out: spans beyond that, of those looked at.
    """

    trace_id: str
    service: str
    name: str
    start_ns: int
    duration_ns: int
    error: bool
    spans: tuple[SpanView, ...]
    left_out: int = 0


class Attributed(Protocol):
    """Anything of OTLP that has attributes."""

    @property
    def attributes(self) -> Sequence[KeyValue]:
        """Key-value pairs, in the order they were sent."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A span as it was sent, and the attributes of its resource."""

    span: Span
    resource: Attributes


def spans_of(request: ExportTraceServiceRequest, wanted: set[bytes]) -> dict[bytes, list[Found]]:
    """The request's spans of the wanted traces, by trace id."""
    found: dict[bytes, list[Found]] = {}
    for resource_spans in request.resource_spans:
        resource: Attributes | None = None
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                if span.trace_id in wanted and span.span_id:
                    if resource is None:
                        resource = attributes_of(resource_spans.resource)
                    found.setdefault(span.trace_id, []).append(Found(span, resource))
    return found


def assemble(trace_id: bytes, found: Sequence[Found]) -> Trace:
    """One trace of its spans (at least one); a span that was sent twice, after a retry, is taken once."""
    distinct = {one.span.span_id: one for one in found}
    # A start of 0 is one that was never set; it would begin the trace in 1970.
    start = min((one.span.start_time_unix_nano or one.span.end_time_unix_nano) for one in distinct.values())
    end = max(one.span.end_time_unix_nano for one in distinct.values())
    lines = [_view(one, depth, start, distinct) for one, depth in _in_order(distinct)]
    root = next((line for line in lines if not line.parent_id), lines[0])
    return Trace(
        trace_id=trace_id.hex(),
        service=root.service,
        name=root.name,
        start_ns=start,
        duration_ns=max(0, end - start),
        error=any(one.span.status.code == Status.STATUS_CODE_ERROR for one in distinct.values()),
        spans=tuple(lines),
        left_out=len(distinct) - len(lines),
    )


def _in_order(spans: Mapping[bytes, Found]) -> list[tuple[Found, int]]:
    """(span, depth), parents first, at most `MAX_SPANS`. Without recursion: a hostile trace is a very deep one."""
    by_time = sorted(spans.values(), key=lambda one: (one.span.start_time_unix_nano, -one.span.end_time_unix_nano))
    children: dict[bytes, list[Found]] = {}
    roots: list[Found] = []
    for one in by_time:
        parent = one.span.parent_span_id
        (children.setdefault(parent, []) if parent in spans else roots).append(one)
    ordered: list[tuple[Found, int]] = []
    done: set[bytes] = set()
    # The second pass takes up circles, which no root leads to.
    for first in [*roots, *by_time]:
        waiting = [(first, 0)]
        while waiting and len(ordered) < MAX_SPANS:
            one, depth = waiting.pop()
            if one.span.span_id in done:
                continue
            done.add(one.span.span_id)
            ordered.append((one, depth))
            waiting += [(child, depth + 1) for child in reversed(children.get(one.span.span_id, ()))]
    return ordered


def _view(found: Found, depth: int, start: int, all_spans: Mapping[bytes, Found]) -> SpanView:
    span = found.span
    begin = span.start_time_unix_nano or span.end_time_unix_nano
    return SpanView(
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name[:MAX_TEXT],
        kind=_KINDS.get(span.kind, "unspecified"),
        service=dict(found.resource).get("service.name") or "unknown_service",
        depth=depth,
        offset_ns=begin - start,
        duration_ns=max(0, span.end_time_unix_nano - begin),
        status=_STATUS.get(span.status.code, "unset"),
        status_message=span.status.message[:MAX_TEXT],
        attributes=attributes_of(span),
        resource=found.resource,
        events=tuple(
            SpanEvent(event.name[:MAX_TEXT], event.time_unix_nano - start, attributes_of(event))
            for event in sorted(span.events[:MAX_ITEMS], key=lambda event: event.time_unix_nano)
        ),
        orphan=bool(span.parent_span_id) and span.parent_span_id not in all_spans,
    )


def attributes_of(owner: Attributed) -> Attributes:
    """The first `MAX_ITEMS` attributes as text, in the order they were sent."""
    return tuple((pair.key[:MAX_TEXT], _text(pair.value)) for pair in owner.attributes[:MAX_ITEMS])


def _text(value: AnyValue) -> str:
    plain = _plain(value)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ... ({len(text):,} characters)"


def _plain(value: AnyValue) -> object:
    """The value in JSON's types; protobuf's own depth limit bounds the recursion."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {one.key: _plain(one.value) for one in value.kvlist_value.values}
    if kind == "bytes_value":
        return value.bytes_value.hex()
    return getattr(value, kind) if kind else ""
