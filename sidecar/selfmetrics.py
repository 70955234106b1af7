"""The sidecar's own metrics, so that the watcher can be watched: its ledger, queues, memory and build."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.batch import Signal
from sidecar.bridge.model import Family, Kind, Series
from sidecar.ledger import Dropped, Ledger, Refused
from sidecar.relay.queue import Queue


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...] = ()


_RECEIVED = _Metric(
    "otel_sidecar.received", Kind.COUNTER, "{item}", "Spans, data points and log records taken.", ("signal",)
)
_FORWARDED = _Metric(
    "otel_sidecar.forwarded", Kind.COUNTER, "{item}", "Items that a target took over.", ("signal", "target")
)
_QUEUED = _Metric(
    "otel_sidecar.queued", Kind.UPDOWN, "{item}", "Items waiting for a target or on their way.", ("signal", "target")
)
_DROPPED = _Metric(
    "otel_sidecar.dropped",
    Kind.COUNTER,
    "{item}",
    "Items that were taken and never arrived.",
    ("signal", "target", "reason"),
)
_REFUSED = _Metric(
    "otel_sidecar.refused.requests",
    Kind.COUNTER,
    "{request}",
    "Requests not taken; their senders were told.",
    ("signal", "reason"),
)
_QUEUE_BYTES = _Metric("otel_sidecar.queue.size", Kind.UPDOWN, "By", "Memory of the queue to a target.", ("target",))
_QUEUE_LIMIT = _Metric("otel_sidecar.queue.limit", Kind.UPDOWN, "By", "Bound of the queue to a target.", ("target",))
_RECENT_BYTES = _Metric("otel_sidecar.recent.size", Kind.UPDOWN, "By", "Memory of the recent traces.")
_MEMORY = _Metric("otel_sidecar.memory.resident", Kind.UPDOWN, "By", "Resident memory of the sidecar.")
_CPU = _Metric("otel_sidecar.cpu.time", Kind.COUNTER, "s", "CPU time of the sidecar.")
_START = _Metric("otel_sidecar.start.time", Kind.GAUGE, "s", "When the sidecar started, since the epoch.")
_BUILD = _Metric("otel_sidecar.build.info", Kind.GAUGE, "", "Always 1.", ("version", "python"))

_SCOPE = ("otel-sidecar", "")


class SelfMetrics:
    """Renders the sidecar's own metrics as families."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        version: str,
        start_ns: int,
        queues: Mapping[str, Queue],
        recent_bytes: Callable[[], int],
    ) -> None:
        """`queues`: by target; `start_ns`: since when it runs, by the epoch."""
        self._ledger = ledger
        self._scope = (_SCOPE[0], version)
        self._start_ns = start_ns
        self._queues = queues
        self._recent_bytes = recent_bytes
        self._build = (version, ".".join(map(str, sys.version_info[:3])))

    def families(self) -> tuple[Family, ...]:
        """All of them, every known reason with a series from the start so that `increase()` sees its first item."""
        queues = self._queues.items()
        return (
            *self._ledger_families(),
            self._family(_QUEUE_BYTES, [((target,), queue.held) for target, queue in queues]),
            self._family(_QUEUE_LIMIT, [((target,), queue.limit) for target, queue in queues]),
            self._family(_RECENT_BYTES, [((), self._recent_bytes())]),
            self._family(_MEMORY, [((), resident_bytes())]),
            self._family(_CPU, [((), sum(os.times()[:2]))]),
            self._family(_START, [((), self._start_ns / 1e9)]),
            self._family(_BUILD, [(self._build, 1)]),
        )

    def _ledger_families(self) -> Iterable[Family]:
        snapshot = self._ledger.snapshot()
        received = {row.signal: row.received for row in snapshot.rows}
        dropped = {(row.signal, row.target, str(reason)): 0 for row in snapshot.rows for reason in Dropped}
        for row in snapshot.rows:
            dropped |= {(row.signal, row.target, reason): count for reason, count in row.dropped}
        refused = {(signal, str(reason)): 0 for signal in Signal for reason in Refused}
        refused |= {(row.signal, row.reason): row.requests for row in snapshot.refused}
        yield self._family(_RECEIVED, [((signal,), count) for signal, count in received.items()])
        yield self._family(_FORWARDED, [((row.signal, row.target), row.forwarded) for row in snapshot.rows])
        yield self._family(_QUEUED, [((row.signal, row.target), row.queued) for row in snapshot.rows])
        yield self._family(_DROPPED, dropped.items())
        yield self._family(_REFUSED, refused.items())

    def _family(self, metric: _Metric, values: Iterable[tuple[tuple[str, ...], float]]) -> Family:
        series = sorted(
            (tuple(sorted(zip(metric.labels, map(str, labels), strict=True))), value) for labels, value in values
        )
        start_ns = self._start_ns if metric.kind is Kind.COUNTER else 0
        return Family(
            name=metric.name,
            kind=metric.kind,
            unit=metric.unit,
            description=metric.description,
            series=tuple(Series(attributes, value, start_ns) for attributes, value in series),
            scope=self._scope,
        )


def resident_bytes() -> int:
    """This process's resident memory; where the system does not tell the present one, the largest so far."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak << 10
