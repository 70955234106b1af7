"""Hands log records of the standard library to OpenTelemetry, without ever feeding on what it causes itself."""

from __future__ import annotations

import logging
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry._logs import LoggerProvider, SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

from instrumentation.guard import guard
from instrumentation.logs.attributes import exception_of, extra_of, place_of
from instrumentation.logs.severity import severity_number, severity_text

# Who writes while a record is on its way out. Their complaints about the export would be exported again.
_SILENT: Final = ("opentelemetry", "instrumentation.otlp")
_GUARD: Final = "instrumentation"


class OtelHandler(logging.Handler):
    """A handler for the root logger.

    Args:
        provider: takes the records.
    """

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        """Queues a record; never blocks, never raises."""
        if _is_alone(self, record) and logging.lastResort and record.levelno >= logging.lastResort.level:
            # A service without any logging set up prints its warnings, until some handler is there: not because of us.
            logging.lastResort.handle(record)
        if record.name == _GUARD or record.name.startswith(_SILENT):
            return
        if otel_context.get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            return
        with guard:
            number = severity_number(record.levelno)
            self._provider.get_logger(record.name).emit(
                timestamp=int(record.created * 1e9),
                severity_number=SeverityNumber(number),
                severity_text=severity_text(record.levelno),
                body=record.getMessage(),
                attributes={
                    **{key: _exportable(value) for key, value in extra_of(record).items()},
                    **place_of(record),
                    **exception_of(record),
                },
            )


def attach(handler: OtelHandler) -> None:
    """Adds the handler to the root logger, once."""
    root = logging.getLogger()
    if handler not in root.handlers:
        root.addHandler(handler)


def _is_alone(handler: logging.Handler, record: logging.LogRecord) -> bool:
    """Whether no other handler sees this record."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(other is not handler for other in logger.handlers):
            return False
        logger = logger.parent if logger.propagate else None
    return True


def _exportable(value: Any) -> Any:
    """Attributes hold plain values; what a service puts into `extra` may be anything."""
    if value is None or isinstance(value, str | bool | int | float | bytes):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, str | bool | int | float) for item in value):
        return list(value)
    return str(value)
