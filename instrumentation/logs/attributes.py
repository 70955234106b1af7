"""What a log record says besides its message: `extra` fields, where it was written, the exception. Pure."""

from __future__ import annotations

import logging
import traceback
from typing import Any, Final

from instrumentation import semconv
from instrumentation.http import error_type
from instrumentation.logs.correlation import SAMPLED, SERVICE, SPAN_ID, TRACE_ID

# What logging itself puts on a record and formatters add; the rest is the service's `extra`.
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime", "color_message", "message", "taskName", SAMPLED, SERVICE, SPAN_ID, TRACE_ID,
}  # fmt: skip


def extra_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields that the service gave."""
    return {key: value for key, value in vars(record).items() if key not in _OWN}


def place_of(record: logging.LogRecord) -> dict[str, str | int]:
    """Where it was logged, by the conventions' names."""
    return {
        semconv.CODE_FILE_PATH: record.pathname,
        semconv.CODE_FUNCTION_NAME: record.funcName or "",
        semconv.CODE_LINE_NUMBER: record.lineno,
    }


def exception_of(record: logging.LogRecord) -> dict[str, str]:
    """The exception, by the conventions' names; a record that came through a queue has its text alone."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return {semconv.EXCEPTION_STACKTRACE: record.exc_text} if record.exc_text else {}
    return {
        semconv.EXCEPTION_TYPE: error_type(error),
        semconv.EXCEPTION_MESSAGE: str(error),
        semconv.EXCEPTION_STACKTRACE: "".join(traceback.format_exception(error)),
    }
