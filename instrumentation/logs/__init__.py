"""Log records that name their trace: in the standard library's, in structlog's, as JSON lines, by OTLP."""

from instrumentation.logs.correlation import add_trace_context, correlate
from instrumentation.logs.json_lines import JsonFormatter

__all__ = ["JsonFormatter", "add_trace_context", "correlate"]
