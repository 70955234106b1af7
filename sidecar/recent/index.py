"""What is remembered of a request that was looked at: enough to choose traces, a fraction of the decoded spans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from sidecar.batch import Batch

_TAKES_REQUESTS = (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER)


@dataclass(frozen=True, slots=True)
class Glance:
    """One trace as one request shows it.

    Attributes:
        newest_ns: the latest end of its spans, never later than the request's arrival (clocks may be wrong).
        longest_ns: the duration of its longest span, nanoseconds.
        error: a span of it failed.
        rooted: a span that others hang from has come: one without a parent, or the one that took a request.
    """

    newest_ns: int
    longest_ns: int
    error: bool
    rooted: bool

    def joined(self, other: Glance) -> Glance:
        """Both together."""
        return Glance(
            max(self.newest_ns, other.newest_ns),
            max(self.longest_ns, other.longest_ns),
            self.error or other.error,
            self.rooted or other.rooted,
        )


@dataclass(frozen=True, slots=True)
class RequestIndex:
    """One request: its traces by id, the ids (trace and span) of its server spans, and whether it could be read."""

    traces: Mapping[bytes, Glance]
    servers: frozenset[bytes]
    readable: bool = True


def index_request(batch: Batch) -> RequestIndex:
    """Reads a batch of spans; one that is no trace request gives an empty, unreadable index."""
    try:
        request = ExportTraceServiceRequest.FromString(batch.body)
    except DecodeError:
        return RequestIndex({}, frozenset(), readable=False)
    traces: dict[bytes, Glance] = {}
    servers: set[bytes] = set()
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                trace_id = span.trace_id
                if not trace_id or not span.span_id:
                    continue
                end = span.end_time_unix_nano
                lasted = max(0, end - (span.start_time_unix_nano or end))
                failed = span.status.code == Status.STATUS_CODE_ERROR
                kind = span.kind
                rooted = kind in _TAKES_REQUESTS or not span.parent_span_id
                seen = Glance(min(end, batch.received_ns), lasted, failed, rooted)
                before = traces.get(trace_id)
                traces[trace_id] = before.joined(seen) if before else seen
                if kind == Span.SPAN_KIND_SERVER:
                    servers.add(trace_id + span.span_id)
    return RequestIndex(traces, frozenset(servers))
