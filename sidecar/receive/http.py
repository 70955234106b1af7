"""OTLP/HTTP as a bare ASGI app: a web framework would cost more per request than all the rest of the way."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from sidecar.batch import Accepted, Refusal, Signal
from sidecar.ledger import Refused
from sidecar.receive.answer import Content, codes, export_response, status_body
from sidecar.receive.body import IN_FLIGHT_EXTRA, Budget, Message, Receive, read_body, too_large
from sidecar.receive.inflate import ENCODINGS
from sidecar.receive.intake import Intake, Request, draining

# A sender may read the answer only after it has sent its body, so a refused body is still read, and thrown away.
_LINGER_BYTES = 256 << 20
_LINGER_S = 10.0

_CLOSE = (b"connection", b"close")
_SIGNALS = {f"/v1/{signal}": signal for signal in Signal}
_CONTENTS = {content.value.encode(): content for content in Content}

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class HttpReceiver:
    """`POST /v1/traces`, `/v1/metrics` and `/v1/logs`, protobuf and JSON."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._limit = intake.max_body
        self._budget = Budget(intake.max_body + IN_FLIGHT_EXTRA)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI 3 has it."""
        media_type, encoding, length = _read_headers(scope["headers"])
        content = _CONTENTS.get(media_type)
        signal = _SIGNALS.get(scope["path"])
        answer = _Answer(content or Content.JSON, receive, send)
        if signal is None:
            message = f"no such path: {scope['path']}; OTLP is at {', '.join(_SIGNALS)}"
            await answer.refuse_unread(Refusal(Refused.UNSUPPORTED, message), status=404)
        elif scope["method"] != "POST":
            message = f"{scope['method']} on {scope['path']}: only POST is spoken here"
            await answer.refuse_unread(Refusal(Refused.UNSUPPORTED, message), status=405)
        elif content is None:
            message = (
                f"content-type {media_type.decode('latin-1')!r} is not one of {', '.join(c.value for c in Content)}"
            )
            await answer.refuse_unread(self._intake.refuse(signal, Refusal(Refused.UNSUPPORTED, message)))
        elif length > self._limit:
            await answer.refuse_unread(self._intake.refuse(signal, too_large(length, self._limit)))
        else:
            await self._export(signal, content, encoding, answer)

    async def _export(self, signal: Signal, content: Content, encoding: str, answer: _Answer) -> None:
        try:
            body = await read_body(answer.receive, self._limit, self._budget)
            outcome: Accepted | Refusal = (
                body if isinstance(body, Refusal) else await self._receive(Request(signal, body, content, encoding))
            )
        except asyncio.CancelledError:
            # The server's grace for unfinished requests is over. It would log that as a failure of ours.
            await answer.refuse(self._intake.refuse(signal, draining()), _CLOSE)
            return
        if isinstance(body, Refusal):
            await answer.refuse_unread(self._intake.refuse(signal, body))
        elif isinstance(outcome, Refusal):
            await answer.refuse(outcome)
        else:
            await answer.accept(signal, outcome)

    async def _receive(self, request: Request) -> Accepted | Refusal:
        try:
            return await self._intake.receive(request)
        finally:
            self._budget.give(len(request.body))


class _Answer:
    """The answering half of one request."""

    def __init__(self, content: Content, receive: Receive, send: Send) -> None:
        self.receive = receive
        self._content = content
        self._send = send

    async def accept(self, signal: Signal, accepted: Accepted) -> None:
        await self._start(200, export_response(signal, self._content, accepted), [])

    async def refuse(self, refusal: Refusal, *headers: tuple[bytes, bytes]) -> None:
        status = codes(refusal)[0]
        await self._start(status, status_body(self._content, refusal), [*_headers(status, refusal), *headers])

    async def refuse_unread(self, refusal: Refusal, status: int = 0) -> None:
        """Refuses a request whose body was not read to its end, and ends the connection."""
        status = status or codes(refusal)[0]
        headers = [*_headers(status, refusal), _CLOSE]
        await self._start(status, status_body(self._content, refusal), headers, more_body=True)
        left = _LINGER_BYTES
        try:
            async with asyncio.timeout(_LINGER_S):
                while left > 0:
                    message = await self.receive()
                    if not message.get("more_body", False):
                        break
                    left -= len(message.get("body", b""))
        except (TimeoutError, asyncio.CancelledError):
            pass  # it was told; whoever goes on sending is cut off, and so it is when the sidecar stops
        await self._send({"type": "http.response.body", "body": b""})

    async def _start(self, status: int, body: bytes, headers: Headers, *, more_body: bool = False) -> None:
        headers += [
            (b"content-type", self._content.value.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": more_body})


def _headers(status: int, refusal: Refusal) -> Headers:
    headers = []
    if refusal.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(refusal.retry_after_s))))
    if status == 405:
        headers.append((b"allow", b"POST"))
    if status == 415:
        headers.append((b"accept-encoding", ", ".join(ENCODINGS).encode()))
    return headers


def _read_headers(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, str, int]:
    """Media type, content-encoding, and content-length (-1 when the sender does not say)."""
    media_type = encoding = b""
    length = -1
    for name, value in headers:
        if name == b"content-type":
            media_type = value.split(b";", 1)[0].strip().lower()
        elif name == b"content-encoding":
            encoding = value
        elif name == b"content-length":
            length = int(value)  # the HTTP parser has refused anything else
    return media_type, encoding.decode("latin-1"), length
