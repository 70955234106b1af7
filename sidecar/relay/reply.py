"""Reads the few small messages a target answers with, by hand: a relay needs no protobuf library."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sidecar.receive.errors import MalformedError
from sidecar.receive.wire import read_extent, read_tag, read_varint

_LEN = 2


def partial_success(body: bytes, content_type: str) -> tuple[int, str]:
    """Rejected items and message of an Export…ServiceResponse; an answer that can't be read rejected nothing."""
    if not body:
        return 0, ""
    if content_type.partition(";")[0].strip().lower() == "application/json":
        return _partial_json(body)
    try:
        partial = dict(_fields(dict(_fields(body)).get(1, b"")))
    except MalformedError:
        return 0, ""
    rejected, message = partial.get(1, 0), partial.get(2, b"")
    if isinstance(rejected, bytes) or isinstance(message, int):
        return 0, ""
    return rejected, message.decode(errors="replace")


def retry_delay(details: bytes) -> float | None:
    """Seconds of the RetryInfo in a google.rpc.Status, or None when it has none."""
    try:
        for number, value in _fields(details):
            if number == 3:
                packed = dict(_fields(value))
                if bytes(packed.get(1, b"")).endswith(b"/google.rpc.RetryInfo"):
                    duration = dict(_fields(dict(_fields(packed.get(2, b""))).get(1, b"")))
                    return int(duration.get(1, 0)) + int(duration.get(2, 0)) / 1e9
    except (MalformedError, TypeError):
        return None
    return None


def _partial_json(body: bytes) -> tuple[int, str]:
    try:
        partial = json.loads(body).get("partialSuccess") or {}
        rejected = next((int(value) for key, value in partial.items() if key.startswith("rejected")), 0)
        return rejected, str(partial.get("errorMessage", ""))
    except (ValueError, TypeError, AttributeError):
        return 0, ""


def _fields(body: bytes | int) -> Iterator[tuple[int, bytes | int]]:
    if isinstance(body, int):
        raise MalformedError("a number where a message should be")
    position = 0
    try:
        while position < len(body):
            number, wire_type, position = read_tag(body, position, "answer")
            first, end = read_extent(body, position, wire_type)
            if end > len(body):
                raise MalformedError("truncated answer")
            yield number, body[first:end] if wire_type != 0 else read_varint(body, first)[0]
            position = end
    except IndexError:
        raise MalformedError("truncated answer") from None
