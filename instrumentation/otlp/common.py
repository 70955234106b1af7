"""Attributes, resource and scope as OTLP bytes: what every signal repeats, so what is worth remembering. Pure.

Field numbers are those of `opentelemetry/proto/common/v1/common.proto` and `resource/v1/resource.proto`.

A service says the same few attributes for every request. A key's encoded form, and that of its first 64 short values,
are kept; what comes after is encoded each time. So a user id as a value costs time, never memory. All caches are
dictionaries whose entries are only ever added or dropped whole: a race between threads repeats work, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from instrumentation.otlp.wire import INT64_MAX, INT64_MIN, delimited, double, text, utf8, varint

_MAX_KEYS: Final = 512
_MAX_VALUES: Final = 64
_MAX_TEXT: Final = 64
_MAX_RESOURCES: Final = 8
_MAX_SCOPES: Final = 256


def any_value(value: object) -> bytes:
    """The body of an `AnyValue`; empty for None.

    No value raises (but nesting deeper than Python recurses), because one odd attribute must not cost a span: an
    integer beyond 64 bits becomes its decimal string (hexadecimal where Python refuses the decimal one), any other
    type its `str()`.
    """
    if value is None:
        return b""
    for kind, encode in _VALUES:
        if isinstance(value, kind):
            return encode(value)
    return _text(_described(value))


def _text(value: str) -> bytes:
    return delimited(b"\x0a", utf8(value))


def _integer(value: int) -> bytes:
    return b"\x18" + varint(value) if INT64_MIN <= value <= INT64_MAX else delimited(b"\x0a", _digits(value))


def _array(value: Sequence[object]) -> bytes:
    return delimited(b"\x2a", b"".join([delimited(b"\x0a", any_value(item)) for item in value]))


def _mapping(value: Mapping[object, object]) -> bytes:
    return delimited(b"\x32", b"".join([b"\x0a" + _key_value(key, item) for key, item in value.items()]))


# In this order: a bool is an int, a string and bytes are sequences.
_VALUES: Final[tuple[tuple[type, Callable[[Any], bytes]], ...]] = (
    (str, _text),
    (bool, lambda value: b"\x10\x01" if value else b"\x10\x00"),
    (int, _integer),
    (float, lambda value: b"\x21" + double(value)),
    (bytes, lambda value: delimited(b"\x3a", value)),
    (Sequence, _array),
    (Mapping, _mapping),
)


def _digits(value: int) -> bytes:
    try:
        return str(value).encode()
    except ValueError:  # sys.set_int_max_str_digits
        return hex(value).encode()


def _described(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything; the type's name is what can still be said
        return f"<{type(value).__qualname__}>"


def _key(key: object) -> bytes:
    """The key's field and the tag of the value's field after it."""
    return delimited(b"\x0a", utf8(key if isinstance(key, str) else _described(key))) + b"\x12"


def _key_value(key: object, value: object) -> bytes:
    """A `KeyValue` with its length before it, without a tag."""
    return delimited(b"", _key(key) + delimited(b"", any_value(value)))


def _is_short(key: object) -> bool:
    """Whether a key is worth keeping; what is no string is none (the SDK does not clean the attributes of metrics)."""
    return type(key) is str and len(key) <= _MAX_TEXT


class _Values(dict[Any, bytes]):
    """The `KeyValue`s of one key for values of one exact type (1, 1.0 and True are one dictionary key)."""

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        self._key = key

    def __missing__(self, value: Any) -> bytes:
        encoded = _key_value(self._key, value)
        if len(self) < _MAX_VALUES and (type(value) is not str or len(value) <= _MAX_TEXT):
            self[value] = encoded
        return encoded


class _Keys(dict[str, _Values]):
    """One `_Values` for each key; starts again when a service invents keys without end."""

    def __missing__(self, key: str) -> _Values:
        values = _Values(key)
        if _is_short(key):
            if len(self) >= _MAX_KEYS:
                self.clear()
            self[key] = values
        return values


class _Doubles(dict[str, bytes]):
    """All of a `KeyValue` of a double up to its eight bytes, by key."""

    def __missing__(self, key: str) -> bytes:
        encoded = _key_value(key, 0.0)[:-8]
        if _is_short(key):
            if len(self) >= _MAX_KEYS:
                self.clear()
            self[key] = encoded
        return encoded


_texts: Final = _Keys()
_ints: Final = _Keys()
_bools: Final = _Keys()
_doubles: Final = _Doubles()


def attributes(values: Mapping[str, Any] | None, tag: bytes) -> bytes:
    """A repeated `KeyValue` field with the given one-byte tag; nothing when there are no attributes."""
    plain: Any = values
    try:
        # The SDK's attributes iterate in Python and under a lock; their `copy` is one dictionary copy in C.
        plain = plain.copy()
    except AttributeError:
        plain = values  # None, or a mapping without that method
    if not plain:
        return b""
    parts = []
    for key, value in plain.items():
        kind = type(value)
        if kind is str:
            parts.append(_texts[key][value])
        elif kind is int:
            parts.append(_ints[key][value])
        elif kind is float:
            parts.append(_doubles[key] + double(value))
        elif kind is bool:
            parts.append(_bools[key][value])
        else:
            parts.append(_key_value(key, value))
    return tag + tag.join(parts)


_resources: dict[int, tuple[Resource, bytes]] = {}
_scopes: dict[InstrumentationScope, bytes] = {}


def encode_resource(resource: Resource) -> bytes:
    """The body of a `Resource`.

    Kept by identity, because the SDK hashes a resource by writing it as JSON; the entry holds the resource, so its
    identity can't be given to another one.
    """
    known = _resources.get(id(resource))
    if known is not None:
        return known[1]
    encoded = attributes(resource.attributes, b"\x0a")
    if len(_resources) >= _MAX_RESOURCES:
        _resources.clear()
    _resources[id(resource)] = (resource, encoded)
    return encoded


def encode_scope(scope: InstrumentationScope | None) -> bytes:
    """The body of an `InstrumentationScope`; empty for None."""
    if scope is None:
        return b""
    known = _scopes.get(scope)
    if known is not None:
        return known
    encoded = text(b"\x0a", scope.name) + text(b"\x12", scope.version) + attributes(scope.attributes, b"\x1a")
    if len(_scopes) >= _MAX_SCOPES:
        _scopes.clear()
    _scopes[scope] = encoded
    return encoded
