"""The stage that keeps the newest traces for the page, costing a list append per request until someone looks."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.batch import Accepted, Batch, Refusal
from sidecar.recent.index import Glance, RequestIndex, index_request
from sidecar.recent.ring import Ring
from sidecar.recent.traces import Found, Trace, assemble, spans_of

#: Newest spans that one look considers, so that a look at a huge ring takes a moment, not minutes.
LOOK_ITEMS: Final = 100_000
#: Spans of assembled traces that are kept for the next look, and spans that one trace is assembled of at most.
_CACHED_SPANS: Final = 5_000
_TRACE_SPANS: Final = 5_000
#: For how long a trace without a root counts as one that is still arriving; services export every few seconds.
_ARRIVING_NS: Final = 10 * 10**9


class Pick(StrEnum):
    """Which traces come first."""

    NEWEST = "newest"
    SLOWEST = "slowest"
    ERRORS = "errors"


@dataclass(frozen=True, slots=True)
class RecentStats:
    """What the ring holds and has lost, in spans and bytes."""

    max_bytes: int
    held_bytes: int
    requests: int
    spans: int
    skipped: int
    forgotten: int


class Recent:
    """Keeps trace requests as bytes and shows them as traces.

    `offer` runs on the receiver's event loop; the methods that look may run in any thread and take their time. Two
    locks keep them apart: one for the ring, held for moments, one so that several viewers decode once.
    """

    def __init__(self, max_bytes: int) -> None:
        """Holds at most `max_bytes` of requests; 0 keeps nothing."""
        self._ring = Ring(max_bytes)
        self._ring_lock = threading.Lock()
        self._look_lock = threading.Lock()
        self._index: dict[int, RequestIndex] = {}
        self._assembled: dict[bytes, tuple[tuple[int, ...], Trace]] = {}

    def offer(self, batch: Batch) -> Accepted | Refusal:
        """Takes every batch of spans; what does not fit is skipped, since the relay is where spans must not be lost."""
        if batch.items:
            with self._ring_lock:
                self._ring.put(batch)
        return Accepted()

    def stats(self) -> RecentStats:
        """Figures of the ring, without decoding anything."""
        with self._ring_lock:
            ring = self._ring
            return RecentStats(ring.max_bytes, ring.held_bytes, len(ring), ring.items, ring.skipped, ring.forgotten)

    def traces(self, limit: int = 50, pick: Pick = Pick.NEWEST) -> tuple[Trace, ...]:
        """At most `limit` traces, those that the pick puts first; `ERRORS` are the newest that failed.

        A trace whose root is still on its way is left out for a while: children are often exported before it.
        """
        with self._look_lock:
            entries = self._look()
            glances = self._glances(entries)
            latest = max((glance.newest_ns for glance in glances.values()), default=0)
            chosen = [
                (glance.longest_ns if pick == Pick.SLOWEST else glance.newest_ns, trace_id)
                for trace_id, glance in glances.items()
                if (glance.error or pick != Pick.ERRORS) and (glance.rooted or latest - glance.newest_ns > _ARRIVING_NS)
            ]
            chosen.sort(reverse=True)
            return self._assemble(entries, [trace_id for _, trace_id in chosen[:limit]])

    def trace(self, trace_id: str) -> Trace | None:
        """The trace of 32 hex digits, or None when the ring has no span of it."""
        try:
            key = bytes.fromhex(trace_id)
        except ValueError:
            return None
        with self._look_lock:
            found = self._assemble(self._look(), [key])
            return found[0] if found else None

    def server_spans(self) -> int:
        """Distinct server spans held: one for every request that a service answered."""
        with self._look_lock:
            entries = self._look()
            return len(frozenset[bytes]().union(*(self._index[number].servers for number, _ in entries)))

    def unreadable(self) -> int:
        """Requests held that are no trace requests."""
        with self._look_lock:
            return sum(not self._index[number].readable for number, _ in self._look())

    def _look(self) -> list[tuple[int, Batch]]:
        """The newest requests, each indexed once however often it is looked at."""
        with self._ring_lock:
            entries = self._ring.newest(LOOK_ITEMS)
        known = self._index
        self._index = {number: known.get(number) or index_request(batch) for number, batch in entries}
        return entries

    def _glances(self, entries: Iterable[tuple[int, Batch]]) -> dict[bytes, Glance]:
        merged: dict[bytes, Glance] = {}
        for number, _ in entries:
            for trace_id, glance in self._index[number].traces.items():
                before = merged.get(trace_id)
                merged[trace_id] = before.joined(glance) if before else glance
        return merged

    def _assemble(self, entries: list[tuple[int, Batch]], wanted: list[bytes]) -> tuple[Trace, ...]:
        """The wanted traces that are held, in that order; each request is decoded at most once for all of them."""
        where: dict[bytes, tuple[int, ...]] = dict.fromkeys(wanted, ())
        for number, _ in entries:
            for trace_id in self._index[number].traces.keys() & where.keys():
                where[trace_id] += (number,)
        where = {trace_id: numbers for trace_id, numbers in where.items() if numbers}
        cached = self._assembled
        stale = {key for key, numbers in where.items() if key not in cached or cached[key][0] != numbers}
        spans: dict[bytes, list[Found]] = {}
        needed = {number for trace_id in stale for number in where[trace_id]}
        for number, batch in entries:
            if number in needed:
                request = ExportTraceServiceRequest.FromString(batch.body)
                for trace_id, found in spans_of(request, stale).items():
                    held = spans.setdefault(trace_id, [])
                    held += found[: _TRACE_SPANS - len(held)]
        for trace_id in stale:
            cached[trace_id] = (where[trace_id], assemble(trace_id, spans[trace_id]))
        self._trim(where.keys())
        return tuple(cached[trace_id][1] for trace_id in where)

    def _trim(self, shown: Iterable[bytes]) -> None:
        """Forgets assembled traces, those not shown now and oldest first, until few spans are kept."""
        kept = set(shown)
        spans = sum(len(trace.spans) for _, trace in self._assembled.values())
        for trace_id in [key for key in self._assembled if key not in kept]:
            if spans <= _CACHED_SPANS:
                return
            spans -= len(self._assembled.pop(trace_id)[1].spans)
