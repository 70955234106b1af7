"""Keeps what a service hangs on a span to a size that spans can bear; what is cut is marked and counted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from opentelemetry.util.types import AttributeValue

MAX_ATTRIBUTES: Final = 32
MAX_EVENTS: Final = 32
MAX_KEY: Final = 64
MAX_TEXT: Final = 256
MAX_ITEMS: Final = 32
CUT: Final = "…"
# OTLP's integers have 64 bits.
_INTEGERS: Final = range(-(2**63), 2**63)


def cut_text(text: str, length: int = MAX_TEXT) -> str:
    """The text, or its first characters and `…`, at most `length` in all."""
    return text if len(text) <= length else text[: length - 1] + CUT


def describe(value: Any) -> str:
    """A value as text; of arrays and bytes only what they are, never what is in them."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{type(value).__name__} {len(value)}>"
    if (shape := getattr(value, "shape", None)) is not None:
        return f"<{type(value).__name__} {getattr(value, 'dtype', '')} {tuple(shape)}>"
    return str(value)


def limited(
    attributes: Mapping[str, Any], taken: Collection[str] = (), room: int = MAX_ATTRIBUTES
) -> tuple[dict[str, AttributeValue], int]:
    """Attributes as a span takes them, and how many were cut or left out.

    Args:
        attributes: any values; None is left out.
        taken: names that are there already: they are written again without needing room.
        room: how many further names there may be.
    """
    kept: dict[str, AttributeValue] = {}
    cut = 0
    for name, value in attributes.items():
        if value is None:
            continue
        key = cut_text(name, MAX_KEY)
        if key not in taken and key not in kept:
            if room <= 0:
                cut += 1
                continue
            room -= 1
        kept[key], short = _value(value)
        cut += short or key != name
    return kept, cut


def _value(value: Any) -> tuple[AttributeValue, bool]:
    if isinstance(value, list | tuple | set | frozenset):
        items = [_scalar(item) for item in list(value)[:MAX_ITEMS]]
        plain = [item for item, _ in items]
        # A span's list has one type.
        if len({type(item) for item in plain}) > 1:
            plain = [str(item) for item in plain]
        return plain, len(value) > MAX_ITEMS or any(short for _, short in items)
    return _scalar(value)


def _scalar(value: Any) -> tuple[bool | int | float | str, bool]:
    # numpy's numbers of no dimension are numbers.
    if not isinstance(value, bool | int | float | str) and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, bool | float) or (isinstance(value, int) and value in _INTEGERS):
        return value, False
    text = value if isinstance(value, str) else describe(value)
    return cut_text(text), len(text) > MAX_TEXT
