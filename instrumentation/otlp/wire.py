"""The protobuf wire format's few writing rules in one place, so that no encoder counts bits itself.

Source: protobuf.dev/programming-guides/encoding. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, pack
from typing import Final

UINT64: Final = (1 << 64) - 1
INT64_MIN: Final = -(1 << 63)
INT64_MAX: Final = (1 << 63) - 1

double: Final = Struct("<d").pack
fixed64: Final = Struct("<Q").pack
sfixed64: Final = Struct("<q").pack


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# Nearly every number on the way is a length or a status code: 1024 entries (45 KB) spare almost every loop.
_SMALL: Final = tuple(_varint(value) for value in range(1024))


def varint(value: int) -> bytes:
    """A 64-bit integer as a varint; negative ones as their two's complement (ten bytes), as int64 fields want it.

    Raises:
        OverflowError: the value does not fit 64 bits.
    """
    if 0 <= value < 1024:
        return _SMALL[value]
    if not INT64_MIN <= value <= UINT64:
        raise OverflowError(f"{value:#x} does not fit a 64-bit varint")
    return _varint(value & UINT64)


def zigzag(value: int) -> bytes:
    """A signed integer as a sint32/sint64 field wants it: small for small magnitudes of either sign."""
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def delimited(tag: bytes, body: bytes) -> bytes:
    """A length-delimited field: message, string, bytes or packed numbers."""
    return tag + varint(len(body)) + body


def utf8(value: str) -> bytes:
    """UTF-8; lone surrogates, which have none, become `?`: a broken name must not cost the span that bears it."""
    return value.encode("utf-8", "replace")


def text(tag: bytes, value: str | None) -> bytes:
    """A string field of implicit presence: nothing when it is empty or None; the `str()` of what is no string."""
    return delimited(tag, utf8(str(value))) if value else b""


def packed_fixed64(tag: bytes, values: Sequence[int]) -> bytes:
    """A packed repeated fixed64 field: nothing when there are no values."""
    return delimited(tag, pack(f"<{len(values)}Q", *values)) if values else b""


def packed_doubles(tag: bytes, values: Sequence[float]) -> bytes:
    """A packed repeated double field: nothing when there are no values."""
    return delimited(tag, pack(f"<{len(values)}d", *values)) if values else b""
