"""Sends to an OTLP/gRPC target as raw bytes over one channel."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc
import grpc.aio

from sidecar.batch import Signal
from sidecar.receive.grpc import SERVICES
from sidecar.relay.headers import Headers
from sidecar.relay.outcome import Outcome, Sent, grpc_outcome
from sidecar.relay.reply import partial_success
from sidecar.values import Target

_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    # A target that comes back shall be found within seconds; the pauses between tries are the lane's.
    ("grpc.max_reconnect_backoff_ms", 2000),
)


class GrpcSender:
    """One target. Made inside the running loop."""

    def __init__(self, target: Target, headers: Headers) -> None:
        self._headers = headers
        host = f"[{target.host}]" if ":" in target.host else target.host
        where = f"{host}:{target.port}"
        if target.secure:
            credentials = grpc.ssl_channel_credentials(_system_roots())
            self._channel = grpc.aio.secure_channel(where, credentials, options=_OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(where, options=_OPTIONS)
        self._exports: dict[Signal, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {
            signal: self._channel.unary_unary(f"/{SERVICES[signal]}/Export") for signal in Signal
        }

    async def send(self, signal: Signal, body: bytes) -> Outcome:
        """Calls Export with the body."""
        try:
            answer = await self._exports[signal](body, metadata=tuple(self._headers.current()))
        except grpc.aio.AioRpcError as error:
            details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            message = f"{error.code().name}: {error.details()}"
            return grpc_outcome(error.code().value[0], message, bytes(details), len(body))
        return Sent(*partial_success(answer, ""))

    async def close(self) -> None:
        """Ends connections."""
        await self._channel.close()


def _system_roots() -> bytes | None:
    """The certificates this machine trusts (or SSL_CERT_FILE); None for those that grpcio brings."""
    path = ssl.get_default_verify_paths().cafile
    return Path(path).read_bytes() if path else None
