"""Spans as an OTLP request, written as bytes, because building protobuf objects is most of what an export costs. Pure.

Field numbers: `opentelemetry/proto/trace/v1/trace.proto`. A test holds every message equal to the stock encoder's,
with one difference: a link's trace state, which the proto has and the stock encoder leaves out, is sent.
A span of ten attributes costs an eighth of what it costs there (`python -m benchmarks.encode`).
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from instrumentation.otlp.common import attributes
from instrumentation.otlp.envelope import encode_request
from instrumentation.otlp.wire import delimited, fixed64, text, varint

_LOW64: Final = (1 << 64) - 1
_MAX_NAMES: Final = 256
_MAX_NAME: Final = 128

# SpanFlags: "whether the parent is remote is known", and "it is"; exactly these two, as the stock encoder sends them.
_PARENT_KNOWN: Final = 0x100
_PARENT_REMOTE: Final = 0x300

_ids: Final = Struct(">2sQQ2sQ").pack  # trace_id (1), span_id (2)
_ids_and_parent: Final = Struct(">2sQQ2sQ2sQ").pack  # trace_id (1), span_id (2), parent_span_id (4)
_span_fixed: Final = Struct("<BBBQBQHI").pack  # kind (6), start (7), end (8), flags (16, a tag of two bytes)
_link_flags: Final = Struct("<BI").pack

_KINDS: Final = {kind: number for number, kind in enumerate(SpanKind, 1)}


class _Names(dict[str, bytes]):
    """The encoded `name` field by name; span names are few, or they are no names."""

    def __missing__(self, name: str) -> bytes:
        encoded = text(b"\x2a", name)
        if type(name) is str and len(name) <= _MAX_NAME:
            if len(self) >= _MAX_NAMES:
                self.clear()
            self[name] = encoded
        return encoded


_names: Final = _Names()


def encode_spans(spans: Sequence[ReadableSpan], resource: Resource | None = None) -> bytes:
    """An `ExportTraceServiceRequest`.

    Args:
        spans: ended spans.
        resource: taken instead of the spans' own, which is the parent process's after a fork.

    Raises:
        ValueError: a span has no context.
        struct.error: an id or a time does not fit its field.
    """
    return encode_request(spans, _span, resource)


def _span(span: ReadableSpan) -> bytes:
    context, parent, kind = span.get_span_context(), span.parent, span.kind
    if context is None:
        raise ValueError(f"span {span.name!r} has no context")
    trace_id = context.trace_id
    flags = _PARENT_KNOWN
    if parent:
        if parent.is_remote:
            flags = _PARENT_REMOTE
        ids = _ids_and_parent(
            b"\x0a\x10", trace_id >> 64, trace_id & _LOW64, b"\x12\x08", context.span_id, b"\x22\x08", parent.span_id
        )
    else:
        ids = _ids(b"\x0a\x10", trace_id >> 64, trace_id & _LOW64, b"\x12\x08", context.span_id)
    number = 1 if kind is SpanKind.INTERNAL else 2 if kind is SpanKind.SERVER else _KINDS.get(kind, 0)
    parts = [
        ids,
        _names[span.name],
        _span_fixed(0x30, number, 0x39, span.start_time or 0, 0x41, span.end_time or 0, 0x0185, flags),
        attributes(span.attributes, b"\x4a"),
        _status(span.status),
    ]
    if context.trace_state:
        parts.append(_trace_state(context))
    if dropped := span.dropped_attributes:
        parts.append(b"\x50" + varint(dropped))
    # The properties lock and copy twice, and nearly all are empty: the private lists say so first, where they exist.
    if getattr(span, "_events", True):
        parts.extend([_event(event) for event in span.events])
    if dropped := span.dropped_events:
        parts.append(b"\x60" + varint(dropped))
    if getattr(span, "_links", True):
        parts.extend([_link(link) for link in span.links])
    if dropped := span.dropped_links:
        parts.append(b"\x70" + varint(dropped))
    return delimited(b"\x12", b"".join(parts))


def _trace_state(context: SpanContext) -> bytes:
    return text(b"\x1a", ",".join([f"{key}={value}" for key, value in context.trace_state.items()]))


def _status(status: Status) -> bytes:
    code, description = status.status_code, status.description
    if code is StatusCode.UNSET and not description:
        return b"\x7a\x00"
    body = text(b"\x12", description)
    if code is not StatusCode.UNSET:
        body += b"\x18" + varint(code.value)
    return delimited(b"\x7a", body)


def _event(event: Event) -> bytes:
    body = b"\x09" + fixed64(event.timestamp) + text(b"\x12", event.name) + attributes(event.attributes, b"\x1a")
    if event.dropped_attributes:
        body += b"\x20" + varint(event.dropped_attributes)
    return delimited(b"\x5a", body)


def _link(link: Link) -> bytes:
    context = link.context
    trace_id = context.trace_id
    body = _ids(b"\x0a\x10", trace_id >> 64, trace_id & _LOW64, b"\x12\x08", context.span_id)
    body += _trace_state(context) + attributes(link.attributes, b"\x22")
    if link.dropped_attributes:
        body += b"\x28" + varint(link.dropped_attributes)
    flags = _PARENT_REMOTE if context.is_remote else _PARENT_KNOWN
    return delimited(b"\x6a", body + _link_flags(0x35, flags))
