"""Reads request bodies within two bounds: of each body, and of all that are being received at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sidecar.batch import Refusal
from sidecar.ledger import Refused

#: Room beside one body of the largest size, so that ordinary requests get through while it comes in.
IN_FLIGHT_EXTRA = 16 << 20
_BODY_TIMEOUT_S = 30.0
_RETRY_OVERLOADED_S = 1.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Budget:
    """Memory for bodies that are being received, in bytes; `used` of `limit` is taken."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, size: int) -> bool:
        """Reserves memory; False when there is not enough."""
        if self.used + size > self.limit:
            return False
        self.used += size
        return True

    def give(self, size: int) -> None:
        """Gives memory back."""
        self.used -= size


def too_large(size: int, limit: int) -> Refusal:
    """The refusal of a body of `size` bytes, or of more than that."""
    return Refusal(Refused.TOO_LARGE, f"the body of {size} bytes or more is larger than the limit of {limit} bytes")


def overloaded(budget: Budget) -> Refusal:
    """The refusal of a body for which there is no memory now."""
    message = f"{budget.used} bytes of requests are being received already, of {budget.limit} at most"
    return Refusal(Refused.OVERLOADED, message, _RETRY_OVERLOADED_S)


async def read_body(receive: Receive, limit: int, budget: Budget) -> bytes | Refusal:
    """The body of an ASGI request, whose bytes the caller then owes the budget, or why it was not read to its end."""
    message = await receive()
    if not message.get("more_body", False):
        return await _read_on(receive, message, limit, budget)
    # Only a body in several pieces can keep us waiting, so only that pays for a timer.
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            return await _read_on(receive, message, limit, budget)
    except TimeoutError:
        return Refusal(Refused.INTERRUPTED, f"the body did not arrive within {_BODY_TIMEOUT_S:g} s")


async def _read_on(receive: Receive, message: Message, limit: int, budget: Budget) -> bytes | Refusal:
    chunks: list[bytes] = []
    held = 0
    try:
        while message["type"] == "http.request":
            chunk = message.get("body", b"")
            if held + len(chunk) > limit:
                return too_large(held + len(chunk), limit)
            if not budget.take(len(chunk)):
                return overloaded(budget)
            held += len(chunk)
            chunks.append(chunk)
            if not message.get("more_body", False):
                held = 0  # now the caller's
                return b"".join(chunks)
            message = await receive()
        return Refusal(Refused.INTERRUPTED, "the sender went away before the end of the body")
    finally:
        budget.give(held)
