"""The body limit: what is read, what is thrown away, and when the refusal comes."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import pytest

from examples.catvsdog.limits import BodyLimit

Chunks = list[bytes]


class RefusedError(Exception):
    """What the service raises."""


def refuse() -> NoReturn:
    raise RefusedError


def serve(chunks: Chunks, *, announced: int | None = None, kind: str = "http", limit: int = 10) -> tuple[bytes, int]:
    """(body as the application read it, chunks taken from the client)."""
    read: list[bytes] = []
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": chunks[taken - 1], "more_body": taken < len(chunks)}

    async def send(_: Any) -> None:
        pass

    async def application(_: Any, receive: Any, __: Any) -> None:
        more = True
        while more:
            message = await receive()
            read.append(message["body"])
            more = message["more_body"]

    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    try:
        asyncio.run(BodyLimit(application, limit, refuse)({"type": kind, "headers": headers}, receive, send))
    except RefusedError:
        return b"refused", taken
    return b"".join(read), taken


@pytest.mark.parametrize("announced", [None, 10])
def test_a_body_up_to_the_limit_is_untouched(announced: int | None) -> None:
    assert serve([b"12345", b"67890"], announced=announced) == (b"1234567890", 2)


def test_more_than_the_limit_is_refused_after_the_rest_was_thrown_away() -> None:
    """The client has sent everything by then, so it reads the answer."""
    assert serve([b"x" * 8] * 4) == (b"refused", 4)
    assert serve([b"x" * 8] * 4, announced=32) == (b"refused", 4)


def test_patience_ends() -> None:
    """An endless body is cut after four limits; one that announces as much is not read at all."""
    assert serve([b"x" * 8] * 1000) == (b"refused", 6)
    assert serve([b"x" * 8] * 1000, announced=8000) == (b"refused", 0)


def test_other_protocols_pass() -> None:
    """A websocket's messages are no request body."""
    assert serve([b"x" * 100], kind="websocket") == (b"x" * 100, 1)
