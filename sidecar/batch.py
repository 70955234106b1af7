"""The one thing that travels from the receivers to everything behind them, so that no stage knows another's insides."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Signal(StrEnum):
    """An OpenTelemetry signal, in the words of OTLP's paths (`/v1/traces`, ...)."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Batch:
    """One accepted export request.

    Attributes:
        signal: what `body` holds.
        body: a serialized `Export{Trace,Metrics,Logs}ServiceRequest`, decompressed and validated by the wire walk.
            Two bodies of one signal joined are again a valid request (every top-level field is repeated).
        items: spans, data points or log records in `body`.
        received_ns: when it was accepted, in nanoseconds since the epoch.
    """

    signal: Signal
    body: bytes
    items: int
    received_ns: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a stage could not take a batch.

    Attributes:
        reason: the ledger's word for it (`queue_full`, `invalid`, ...): short, from a fixed set, fit for a label.
        message: one sentence for a person: what and where.
        retry_after_s: seconds after which the sender may try again; None says that a retry cannot help.
    """

    reason: str
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A stage took the batch.

    Attributes:
        rejected: items in it that the stage could not use (OTLP's partial success).
        message: why, for a person; empty when nothing was rejected.
    """

    rejected: int = 0
    message: str = ""


class Stage(Protocol):
    """Anything that takes batches: the relay, the bridge, the ring of recent traces."""

    def offer(self, batch: Batch) -> Accepted | Refusal:
        """Takes the batch, or says why not. Never blocks, never raises for what is in the batch."""
        ...
