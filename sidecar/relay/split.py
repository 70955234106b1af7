"""Cuts one export request into two valid ones, for targets that take less at once than we were sent."""

from __future__ import annotations

from sidecar.batch import Signal
from sidecar.receive.answer import varint
from sidecar.receive.wire import REQUESTS, Message, read_extent, read_tag, tag_of


def split(signal: Signal, body: bytes) -> tuple[bytes, bytes] | None:
    """Two requests with half of the entries each, or None when there is but one item.

    The cut is made at the outermost level that has two entries; what stands around them (resource, scope, a metric's
    name) goes into both. Takes only what `count_items` has accepted.
    """
    return _split(body, REQUESTS[signal])


def _split(body: bytes, message: Message) -> tuple[bytes, bytes] | None:
    around = b""
    entries: list[bytes] = []
    tag, content = 0, b""
    position = 0
    while position < len(body):
        start = position
        number, wire_type, position = read_tag(body, position, message.name)
        first, position = read_extent(body, position, wire_type)
        if tag_of(number) == message.item or message.inner.get(tag_of(number)) is not None:
            entries.append(body[start:position])
            tag, content = tag_of(number), body[first:position]
        else:
            around += body[start:position]
    if len(entries) > 1:
        half = len(entries) // 2
        return around + b"".join(entries[:half]), around + b"".join(entries[half:])
    child = message.inner.get(tag)
    halves = _split(content, child) if child is not None else None
    if halves is None:
        return None
    first_half, second_half = (around + bytes((tag,)) + varint(len(half)) + half for half in halves)
    return first_half, second_half
