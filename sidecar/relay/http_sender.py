"""Sends to an OTLP/HTTP target over a pool of kept connections."""

from __future__ import annotations

import ssl
import time

import httpcore

from sidecar.batch import Signal
from sidecar.relay.headers import Headers
from sidecar.relay.outcome import Later, Outcome, http_outcome
from sidecar.values import Target

_CONNECTIONS = 4
_CONNECT_TIMEOUT_S = 5.0
_KEEP_S = 60.0
# An answer is a few bytes; of a longer one (an error page) the beginning is enough.
_MOST_ANSWER = 64 << 10


class HttpSender:
    """One target."""

    def __init__(self, target: Target, headers: Headers) -> None:
        self._headers = headers
        scheme = "https" if target.secure else "http"
        host = f"[{target.host}]" if ":" in target.host else target.host
        self._urls = {signal: f"{scheme}://{host}:{target.port}{target.path}/v1/{signal}" for signal in Signal}
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context() if target.secure else None,
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_CONNECTIONS,
            keepalive_expiry=_KEEP_S,
        )

    async def send(self, signal: Signal, body: bytes) -> Outcome:
        """Posts the body as protobuf."""
        headers = [("content-type", "application/x-protobuf"), ("user-agent", "otel-sidecar"), *self._headers.current()]
        try:
            async with self._pool.stream(
                "POST",
                self._urls[signal],
                headers=headers,
                content=body,
                extensions={"timeout": {"connect": _CONNECT_TIMEOUT_S}},
            ) as response:
                answer = b""
                async for chunk in response.aiter_stream():
                    answer += chunk
                    if len(answer) > _MOST_ANSWER:
                        break
                found = {name.lower(): value.decode("latin-1") for name, value in response.headers}
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            return Later(str(error) or type(error).__name__)
        retry_after, content_type = found.get(b"retry-after", ""), found.get(b"content-type", "")
        return http_outcome(response.status, retry_after, content_type, answer, time.time())

    async def close(self) -> None:
        """Ends connections."""
        await self._pool.aclose()
