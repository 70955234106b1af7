"""Checks and counts an export request without building objects, because most requests are only passed on.

The walk follows the protobuf wire format (protobuf.dev/programming-guides/encoding) down to the items and steps over
each as a whole. Depth is that of the schema, so hostile nesting costs nothing. Unknown fields are stepped over; groups
(wire types 3 and 4) are refused: proto3, and so OTLP, has none. Fields cost the time here, and two bytes are enough for
one, so a caller may bound them apart from the bytes.
"""

from __future__ import annotations

from sidecar.batch import Signal
from sidecar.receive.errors import MalformedError, TooManyFieldsError

_VARINT, _FIXED64, _LEN, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
_WIRE_TYPES = frozenset({_VARINT, _FIXED64, _LEN, _FIXED32})
_MAX_FIELD = (1 << 29) - 1


class Message:
    """What the walk has to know of one protobuf message.

    Attributes:
        name: as in OTLP's .proto files.
        wire_types: of the fields it knows, by number.
        item: tag byte of the field whose occurrences are counted and not entered; -1, which no byte is, for none.
        inner: the length-delimited fields by tag byte: the message to descend into, or None to step over.
    """

    __slots__ = ("inner", "item", "name", "wire_types")

    def __init__(
        self, name: str, fields: tuple[int, ...], *, children: dict[int, Message] | None = None, item: int = 0
    ) -> None:
        """Takes field numbers: of all length-delimited fields, of those with children, and of the item (0 for none)."""
        children = children or {}
        self.name = name
        self.wire_types = dict.fromkeys(fields, _LEN)
        self.item = tag_of(item) if item else -1
        self.inner = {tag_of(number): children.get(number) for number in fields if number != item}


def tag_of(number: int) -> int:
    """The tag byte of a length-delimited field below 16."""
    return number << 3 | _LEN


def _data(name: str, *scalars: int) -> Message:
    message = Message(name, (1,), item=1)
    message.wire_types |= dict.fromkeys(scalars, _VARINT)
    return message


def _request(kind: str, metric: Message | None = None) -> Message:
    children = {2: metric} if metric else {}
    scope = Message(f"Scope{kind}", (1, 2, 3), children=children, item=0 if metric else 2)
    resource = Message(f"Resource{kind}", (1, 2, 3), children={2: scope})
    return Message("ExportRequest", (1,), children={1: resource})


_METRIC = Message(
    "Metric",
    (1, 2, 3, 5, 7, 9, 10, 11, 12),
    children={
        5: _data("Gauge"),
        7: _data("Sum", 2, 3),
        9: _data("Histogram", 2),
        10: _data("ExponentialHistogram", 2),
        11: _data("Summary"),
    },
)
#: The shape of each signal's export request (opentelemetry-proto, collector/*/v1).
REQUESTS = {
    Signal.TRACES: _request("Spans"),
    Signal.LOGS: _request("Logs"),
    Signal.METRICS: _request("Metrics", _METRIC),
}


def count_items(signal: Signal, body: bytes, max_fields: int | None = None) -> int:
    """Spans, data points or log records in a serialized export request.

    `max_fields` bounds the fields that are looked at: the items and whatever is beside and above them.

    Raises:
        MalformedError: the body is not one; its text names the message, the field and the byte.
        TooManyFieldsError: there are more.
    """
    left = _Left(len(body) if max_fields is None else max_fields)
    try:
        return _count(body, 0, len(body), REQUESTS[signal], left)
    except IndexError:
        raise MalformedError(f"truncated at byte {len(body)}, the end of the body") from None


class _Left:
    """The fields that may still come."""

    __slots__ = ("fields", "limit")

    def __init__(self, limit: int) -> None:
        self.fields = self.limit = limit


def _count(body: bytes, position: int, end: int, message: Message, left: _Left) -> int:
    count = 0
    item, inner = message.item, message.inner
    fields = left.fields
    while position < end:
        start = position
        fields -= 1
        if fields < 0:
            raise TooManyFieldsError(f"more than {left.limit} items and fields beside them; send smaller requests")
        tag = body[position]
        if tag == item or tag in inner:
            # The hot lines of the receiver: what is shorter than 16 KiB costs two or three look-ups.
            length = body[position + 1]
            if length < 0x80:
                first = position + 2
            else:
                high = body[position + 2]
                if high < 0x80:
                    first = position + 3
                    length += (high << 7) - 0x80
                else:
                    length, first = read_varint(body, position + 1)
            position = first + length
            if position > end:
                raise MalformedError(f"truncated length-delimited field {tag >> 3} at byte {start} of {message.name}")
            if tag == item:
                count += 1
            elif (child := inner[tag]) is not None:
                left.fields = fields
                count += _count(body, first, position, child, left)
                fields = left.fields
        else:
            position = _step_over(body, start, end, message)
    left.fields = fields
    return count


def _step_over(body: bytes, start: int, end: int, message: Message) -> int:
    number, wire_type, first = read_tag(body, start, message.name)
    if message.wire_types.get(number, wire_type) != wire_type:
        raise MalformedError(f"wire type {wire_type} of field {number} at byte {start} of {message.name}")
    position = read_extent(body, first, wire_type)[1]
    if position > end:
        raise MalformedError(f"truncated field {number} at byte {start} of {message.name}")
    return position


def read_tag(body: bytes, position: int, name: str) -> tuple[int, int, int]:
    """Field number, wire type, and where the field's value begins."""
    tag, after = read_varint(body, position)
    number, wire_type = tag >> 3, tag & 7
    if not 0 < number <= _MAX_FIELD or wire_type not in _WIRE_TYPES:
        raise MalformedError(f"impossible tag (field {number}, wire type {wire_type}) at byte {position} of {name}")
    return number, wire_type, after


def read_extent(body: bytes, position: int, wire_type: int) -> tuple[int, int]:
    """Where the content of a field's value begins and ends; the end may lie beyond the body."""
    if wire_type == _LEN:
        length, first = read_varint(body, position)
        return first, first + length
    if wire_type == _VARINT:
        return position, read_varint(body, position)[1]
    return position, position + (8 if wire_type == _FIXED64 else 4)


def read_varint(body: bytes, position: int) -> tuple[int, int]:
    """The number at `position` and where the next thing begins.

    Raises MalformedError when it is too long, IndexError when the body ends inside it.
    """
    value = shift = 0
    for index in range(position, position + _MAX_VARINT_BYTES):
        byte = body[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, index + 1
        shift += 7
    raise MalformedError(f"number longer than {_MAX_VARINT_BYTES} bytes at byte {position}")
