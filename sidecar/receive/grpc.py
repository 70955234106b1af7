"""OTLP/gRPC on grpc.aio with raw bytes in and out: grpcio does HTTP/2 and compression, nothing is decoded."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from sidecar.batch import Accepted, Refusal, Signal
from sidecar.ledger import Refused
from sidecar.receive.answer import Content, codes, export_response, status_details
from sidecar.receive.body import IN_FLIGHT_EXTRA, Budget, overloaded
from sidecar.receive.intake import Intake, Request

#: The full name of each signal's service (opentelemetry-proto, collector/*/v1).
SERVICES = {
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}

Context = grpc.aio.ServicerContext[bytes, bytes]


def grpc_server(intake: Intake) -> grpc.aio.Server:
    """A server with the three Export methods, not yet bound or started.

    grpcio itself refuses messages above the limit, before and (since 1.85) after decompression.
    """
    server = grpc.aio.server(
        options=(
            ("grpc.max_receive_message_length", intake.max_body),
            ("grpc.so_reuseport", 0),  # or a second sidecar would silently share the port
        )
    )
    budget = Budget(intake.max_body + IN_FLIGHT_EXTRA)
    server.add_generic_rpc_handlers(
        tuple(
            # Export is a unary method. On the wire that is a stream of one message, and only a handler of streams is
            # called before the message has come: so a request that grpcio refuses gets into the books.
            grpc.method_handlers_generic_handler(
                service, {"Export": grpc.stream_unary_rpc_method_handler(_Export(intake, signal, budget).export)}
            )
            for signal, service in SERVICES.items()
        )
    )
    return server


class _Export:
    """The method for one signal; `budget` bounds what all of them hold at once."""

    def __init__(self, intake: Intake, signal: Signal, budget: Budget) -> None:
        self._intake = intake
        self._signal = signal
        self._budget = budget

    async def export(self, _: Any, context: Context) -> bytes:
        """Handles one call."""
        body: Any = await context.read()
        if body is grpc.aio.EOF:
            outcome: Accepted | Refusal = self._intake.refuse(self._signal, self._missing(context))
        elif not self._budget.take(len(body)):
            outcome = self._intake.refuse(self._signal, overloaded(self._budget))
        else:
            try:
                outcome = await self._intake.receive(Request(self._signal, body))
            finally:
                self._budget.give(len(body))
        if isinstance(outcome, Refusal):
            trailers = (("grpc-status-details-bin", status_details(outcome)),)
            await context.abort(_CODES[codes(outcome)[1]], outcome.message, trailers)
        return export_response(self._signal, Content.PROTOBUF, outcome)

    def _missing(self, context: Context) -> Refusal:
        """Why there is no message; grpcio does not say, so a sender that dies in the middle counts as a large one."""
        left_s: float | None = context.time_remaining()
        if left_s is not None and left_s <= 0:
            return Refusal(Refused.INTERRUPTED, "the message did not arrive within the sender's deadline")
        return Refusal(Refused.TOO_LARGE, f"no message within the limit of {self._intake.max_body} bytes arrived")
