"""OTLP/gRPC on grpc.aio with raw bytes in and out: grpcio does HTTP/2 and compression, nothing is decoded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from sidecar.batch import Refusal, Signal
from sidecar.receive.answer import Content, codes, export_response, status_details
from sidecar.receive.intake import Intake, Request

#: The full name of each signal's service (opentelemetry-proto, collector/*/v1).
SERVICES = {
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[bytes, bytes]
Export = Callable[[bytes, Context], Awaitable[bytes]]


def grpc_server(intake: Intake) -> grpc.aio.Server:
    """A server with the three Export methods, not yet bound or started.

    grpcio itself refuses messages above the limit, before and (since 1.85) after decompression; those do not reach the
    ledger.
    """
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", intake.max_body),
            ("grpc.so_reuseport", 0),  # or a second sidecar would silently share the port
        )
    )
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(
                service, {"Export": grpc.unary_unary_rpc_method_handler(_export(intake, signal))}
            )
            for signal, service in SERVICES.items()
        )
    )
    return server


def _export(intake: Intake, signal: Signal) -> Any:
    async def export(body: bytes, context: Context) -> bytes:
        outcome = await intake.receive(Request(signal, body))
        if isinstance(outcome, Refusal):
            trailers = (("grpc-status-details-bin", status_details(outcome)),)
            await context.abort(_CODES[codes(outcome)[1]], outcome.message, trailers)
        return export_response(signal, Content.PROTOBUF, outcome)

    return export
