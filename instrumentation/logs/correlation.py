"""The ids of the current trace, as fields of a log record."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import SpanContext

# In log records the names of the stock instrumentation, which format strings out there use. No plainer ones: a service
# that passes `extra={"trace_id": ...}` itself would be answered with a KeyError (logging refuses to overwrite a field).
TRACE_ID: Final = "otelTraceID"
SPAN_ID: Final = "otelSpanID"
SAMPLED: Final = "otelTraceSampled"
SERVICE: Final = "otelServiceName"
_NONE: Final = "0"
_CHAINED: Final = "_otel_sidecar_correlates"


def correlate(service_name: str = "") -> None:
    """From now on every log record has `otelTraceID`, `otelSpanID`, `otelTraceSampled` and `otelServiceName`.

    The ids are hexadecimal, `0` outside of a trace. The record factory that was there goes on to make the records, and
    calling this again changes nothing.

    Args:
        service_name: the value of `otelServiceName`.
    """
    make = logging.getLogRecordFactory()
    if hasattr(make, _CHAINED):
        return

    def factory(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = make(*arguments, **options)
        context = trace.get_current_span().get_span_context()
        record.__dict__.update(
            {
                TRACE_ID: trace.format_trace_id(context.trace_id) if context.is_valid else _NONE,
                SPAN_ID: trace.format_span_id(context.span_id) if context.is_valid else _NONE,
                SAMPLED: context.trace_flags.sampled,
                SERVICE: service_name,
            }
        )
        return record

    setattr(factory, _CHAINED, True)
    logging.setLogRecordFactory(factory)


def add_trace_context(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: adds `trace_id`, `span_id` and `trace_flags`; what an event already has stays."""
    for name, value in fields_of(trace.get_current_span().get_span_context()).items():
        event.setdefault(name, value)
    return event


def fields_of(context: SpanContext) -> dict[str, str]:
    """The fields that OpenTelemetry names for logs in other formats than OTLP; none outside of a trace.

    https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/
    """
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
        "trace_flags": f"{context.trace_flags:02x}",
    }


def context_of(record: logging.LogRecord) -> dict[str, str]:
    """The ids of a record: as noted when it was made, else of the current span.

    A record that a queue brought to another thread is no longer in its span.
    """
    noted = getattr(record, TRACE_ID, None)
    if noted is None:
        return fields_of(trace.get_current_span().get_span_context())
    if noted == _NONE:
        return {}
    return {
        "trace_id": noted,
        "span_id": getattr(record, SPAN_ID, ""),
        "trace_flags": "01" if getattr(record, SAMPLED, False) else "00",
    }
