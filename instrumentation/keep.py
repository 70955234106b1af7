"""Keep: which traces are worth keeping, decided once, by the service, and told by one attribute on the server span.

A gateway that samples at the tail keeps what is marked, and only marked traces become exemplars, so an exemplar always
opens. The reasons are an error, slowness, what the model says (low confidence, a failed prediction), and for the rest
a share of all traces by their id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import ExemplarFilter
from opentelemetry.trace import Span
from opentelemetry.util.types import Attributes

from instrumentation import semconv

_KEY: Final = otel_context.create_key("otel-sidecar-keep")
# The 56 random bits of a trace id (W3C Trace Context level 2), which OpenTelemetry's consistent sampling compares too.
_RANDOM_BITS: Final = (1 << 56) - 1
# Enough for exemplars in most buckets of a service that somebody tries out; a tenth of the storage of a busy one.
DEFAULT_RATIO: Final = 0.1
# Above what most models take, and a boundary of the registry's histograms. A service's own objective is better.
DEFAULT_SLOW_S: Final = 1.0


class KeepState:
    """Whether one trace is kept, and the span of it that says so.

    Args:
        span: the server span of a request; outside of requests whatever span is current.
    """

    __slots__ = ("_reason", "_span", "trace_id")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._reason: str | None = None
        self.trace_id = span.get_span_context().trace_id

    @property
    def kept(self) -> bool:
        """Whether the span carries the mark; once true it stays true."""
        return self._reason is not None

    def keep(self, reason: str) -> None:
        """Marks the trace for a reason of the registry; the first reason stays, but for the ratio, which any replaces.

        Does nothing once the span has ended, or when it was not sampled: then there is no trace to keep.
        """
        span = self._span
        if self._reason not in (None, semconv.OTEL_SIDECAR_KEEP_REASON_RATIO):
            return
        if not (span.is_recording() and span.get_span_context().trace_flags.sampled):
            return
        span.set_attributes({semconv.OTEL_SIDECAR_KEEP: True, semconv.OTEL_SIDECAR_KEEP_REASON: reason})
        # Another thread may have ended the span meanwhile. Only of a span that is still open is the mark certain.
        if span.is_recording():
            self._reason = reason


@dataclass(frozen=True, slots=True)
class KeepRules:
    """When a request's trace is kept though nobody marked it.

    Attributes:
        ratio: the share of all traces, 0 to 1, the same traces in every service that has the same ratio.
        slow_s: seconds from which on a request is slow.
        slow_routes: seconds by route template, where a route has an objective of its own.
    """

    ratio: float = DEFAULT_RATIO
    slow_s: float = DEFAULT_SLOW_S
    slow_routes: Mapping[str, float] = field(default_factory=dict)

    def by_ratio(self, trace_id: int) -> bool:
        """Whether a trace is of the share that is kept anyway."""
        return (trace_id & _RANDOM_BITS) >= (1.0 - self.ratio) * (_RANDOM_BITS + 1)

    def slow_after_s(self, route: object) -> float:
        """Seconds from which on a request to this route is slow."""
        return self.slow_routes.get(route, self.slow_s) if isinstance(route, str) else self.slow_s


def begin_keep(span: Span, context: Context, rules: KeepRules) -> tuple[KeepState, Context]:
    """The state of a request that begins, already kept when its trace id says so, and the context that carries it."""
    state = KeepState(span)
    if rules.by_ratio(state.trace_id):
        state.keep(semconv.OTEL_SIDECAR_KEEP_REASON_RATIO)
    return state, otel_context.set_value(_KEY, state, context)


def request_keep(context: Context | None = None) -> KeepState:
    """The state of the request that the context (default: the current one) is part of.

    Outside of a request: one that marks the context's own span.
    """
    state = otel_context.get_value(_KEY, context)
    return state if isinstance(state, KeepState) else KeepState(trace.get_current_span(context))


class KeptExemplars(ExemplarFilter):
    """Lets a measurement be an exemplar if, when it is taken, its trace is already known to be kept."""

    def should_sample(
        self,
        value: float,  # noqa: ARG002 - the SDK's signature
        time_unix_nano: int,  # noqa: ARG002
        attributes: Attributes,  # noqa: ARG002
        context: Context,
    ) -> bool:
        """Whether the trace of the context's span carries the mark."""
        state = context.get(_KEY)
        if not isinstance(state, KeepState):
            return semconv.OTEL_SIDECAR_KEEP in (getattr(trace.get_current_span(context), "attributes", None) or ())
        # Inside of a request somebody may have begun a trace of its own, which has no mark.
        return state.kept and state.trace_id == trace.get_current_span(context).get_span_context().trace_id
