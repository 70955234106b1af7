"""Turns OTLP/JSON into the protobuf bytes that everything behind the receivers works on.

Rules of opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding on top of ProtoJSON: trace and span ids are hex, enums
are integers and never names, keys are lowerCamelCase and never the .proto names, unknown keys are ignored. Which key
has which type comes from the .proto descriptors, so a new field needs a newer opentelemetry-proto, not new code.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from typing import Any

import msgspec
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.batch import Signal
from sidecar.receive.errors import MalformedError, TooLargeError

_REQUESTS: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_HEX_FIELDS = frozenset({"trace_id", "span_id", "parent_span_id"})
#: Deepest nesting of messages; protobuf's own parsers, and so every target, stop at 100.
MAX_DEPTH = 100
# An object of JSON costs some 300 bytes while it is read, so documents are bounded by what they cost.
MAX_BYTES = 16 << 20
MAX_OBJECTS = 250_000

Setter = Callable[[Message, Any, str, int], None]


def transcode(signal: Signal, body: bytes) -> bytes:
    """The serialized export request that this OTLP/JSON document means.

    Raises:
        MalformedError: no JSON, or a value that its field cannot have.
        TooLargeError: more than `MAX_BYTES`, or than `MAX_OBJECTS` objects and arrays.
    """
    if len(body) > MAX_BYTES or body.count(b"{") + body.count(b"[") > MAX_OBJECTS:
        raise TooLargeError(
            f"JSON of {len(body)} bytes: at most {MAX_BYTES} bytes and {MAX_OBJECTS} objects are read as JSON; "
            "send protobuf, or smaller requests"
        )
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise MalformedError("not OTLP: JSON nested too deeply") from error
    request = _REQUESTS[signal]()
    _fill(request, document, "", 1)
    return request.SerializeToString()


def _fill(message: Message, document: Any, path: str, depth: int) -> None:
    if not isinstance(document, dict):
        raise _wrong(path, document, "an object")
    if depth > MAX_DEPTH:
        raise MalformedError(f"{path[:80]}…: nested deeper than {MAX_DEPTH} messages")
    descriptor: Any = message.DESCRIPTOR
    setters = _setters(descriptor)
    for key, value in document.items():
        setter = setters.get(key)
        if setter is not None and value is not None:
            setter(message, value, f"{path}.{key}" if path else key, depth)


_compiled: dict[str, dict[str, Setter]] = {}


def _setters(descriptor: Descriptor) -> dict[str, Setter]:
    setters = _compiled.get(descriptor.full_name)
    if setters is None:
        setters = _compiled[descriptor.full_name] = {field.json_name: _setter(field) for field in descriptor.fields}
    return setters


def _setter(field: FieldDescriptor) -> Setter:
    name = field.name
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _message_list(name) if field.is_repeated else _submessage(name)
    read = _hex if name in _HEX_FIELDS else _READERS[field.type]
    return _scalar_list(name, read) if field.is_repeated else _scalar(name, read)


def _submessage(name: str) -> Setter:
    def set_message(message: Message, value: Any, path: str, depth: int) -> None:
        child = getattr(message, name)
        child.SetInParent()  # `{}` is a message that is there
        _fill(child, value, path, depth + 1)

    return set_message


def _message_list(name: str) -> Setter:
    def set_messages(message: Message, value: Any, path: str, depth: int) -> None:
        children = getattr(message, name)
        for index, item in enumerate(_list(value, path)):
            _fill(children.add(), item, f"{path}[{index}]", depth + 1)

    return set_messages


def _scalar(name: str, read: Callable[[Any, str], Any]) -> Setter:
    def set_scalar(message: Message, value: Any, path: str, depth: int) -> None:  # noqa: ARG001 - one shape for all
        _assign(lambda: setattr(message, name, read(value, path)), value, path)

    return set_scalar


def _scalar_list(name: str, read: Callable[[Any, str], Any]) -> Setter:
    def set_scalars(message: Message, value: Any, path: str, depth: int) -> None:  # noqa: ARG001 - one shape for all
        values = [read(item, f"{path}[{index}]") for index, item in enumerate(_list(value, path))]
        _assign(lambda: getattr(message, name).extend(values), value, path)

    return set_scalars


def _assign(assign: Callable[[], None], value: Any, path: str) -> None:
    try:
        assign()
    except MalformedError:
        raise
    except (ValueError, TypeError) as error:  # protobuf's own range check
        raise _wrong(path, value, f"a value its field can have ({error})") from error


def _list(value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise _wrong(path, value, "an array")
    return value


def _wrong(path: str, value: Any, expected: str) -> MalformedError:
    shown = repr(value)
    return MalformedError(f"{path or 'document'}: {shown[:60]}{'…' if len(shown) > 60 else ''} is not {expected}")


def _integer(value: Any, path: str) -> int:
    if isinstance(value, bool):
        raise _wrong(path, value, "an integer")
    if isinstance(value, int):
        return value
    try:
        number = float(value) if isinstance(value, float) else int(value)
    except (ValueError, TypeError):
        raise _wrong(path, value, "an integer") from None
    if number != math.floor(number):
        raise _wrong(path, value, "an integer")
    return int(number)


def _double(value: Any, path: str) -> float:
    if isinstance(value, bool):
        raise _wrong(path, value, "a number")
    try:
        return float(value)
    except (ValueError, TypeError, OverflowError):
        raise _wrong(path, value, "a number") from None


def _boolean(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, value, "true or false")
    return value


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, value, "a string")
    return value


def _enum(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(path, value, "an integer (OTLP/JSON has no enum names)")
    return value


def _hex(value: Any, path: str) -> bytes:
    try:
        return bytes.fromhex(_string(value, path))
    except ValueError:
        raise _wrong(path, value, "hexadecimal") from None


def _base64(value: Any, path: str) -> bytes:
    text = _string(value, path).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(path, value, "base64") from None


_READERS: dict[int, Callable[[Any, str], Any]] = {
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_BYTES: _base64,
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_ENUM: _enum,
    FieldDescriptor.TYPE_STRING: _string,
} | dict.fromkeys(
    (
        FieldDescriptor.TYPE_FIXED32,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_SFIXED64,
        FieldDescriptor.TYPE_SINT32,
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_UINT64,
    ),
    _integer,
)
