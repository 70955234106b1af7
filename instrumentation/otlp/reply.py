"""What a server's answer says in words and numbers, read by hand, because a base install has no protobuf. Pure.

Every function reads what it can and stops at the first byte that makes no sense: an answer never raises.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_LONGEST_WORDS: Final = 300


def partial_success(body: bytes) -> tuple[int, str]:
    """Rejected items and the server's words, from an `Export*ServiceResponse`; (0, "") when all were taken.

    The three signals' responses have the same fields: partial_success (1) with the number (1) and error_message (2).
    """
    rejected, words = 0, ""
    for number, value in _fields(body):
        if number == 1 and isinstance(value, bytes):
            for inner, part in _fields(value):
                if inner == 1 and isinstance(part, int):
                    # An int64: a negative count is nonsense and must not make a total fall.
                    rejected = part if part < 1 << 63 else 0
                elif inner == 2 and isinstance(part, bytes):
                    words = _words(part)
    return rejected, words


def error_words(body: bytes, content_type: str) -> str:
    """A person's explanation from the body of an error: the message of a protobuf `Status`, or the text itself."""
    if "protobuf" in content_type:
        return next((_words(value) for number, value in _fields(body) if number == 2 and isinstance(value, bytes)), "")
    if content_type.startswith("text/plain") or "json" in content_type:
        return _words(body)
    return ""


def printable(text: str) -> str:
    """A peer's text on one line, shortened and without control characters, fit for a log."""
    line = " ".join(text[: 4 * _LONGEST_WORDS].split())
    return "".join([character for character in line if character.isprintable()])[:_LONGEST_WORDS]


def _words(raw: bytes) -> str:
    return printable(raw[: 4 * _LONGEST_WORDS].decode("utf-8", "replace"))


def _fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Varint and length-delimited fields at the message's first level, up to the first that is malformed."""
    position, end = 0, len(body)
    while position < end:
        tag, position = _varint(body, position)
        kind = tag & 7
        if position < 0 or kind not in {0, 1, 2, 5}:
            return
        if kind in {1, 5}:
            position += 8 if kind == 1 else 4
            continue
        value, position = _varint(body, position)
        if position < 0:
            return
        if kind == 0:
            yield tag >> 3, value
            continue
        if value > end - position:
            return
        yield tag >> 3, body[position : position + value]
        position += value


def _varint(body: bytes, position: int) -> tuple[int, int]:
    """The varint there and the position after it; position -1 when it is cut off or too long."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(body):
            break
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, position
    return 0, -1
