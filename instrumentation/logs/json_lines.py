"""Log records as one JSON object a line, for collectors that read a container's output."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from instrumentation.logs.attributes import exception_of, extra_of
from instrumentation.logs.correlation import context_of
from instrumentation.logs.severity import severity_number, severity_text

_DEPTH = 8


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON.

    `timestamp` (RFC 3339, UTC), `severity` and `severity_number` (OpenTelemetry's), `logger`, `message`, in a trace
    `trace_id`, `span_id` and `trace_flags`, `exception.*` if there is one, and then what the service gave as `extra`,
    which never replaces one of these. What JSON has no form for is its `str()`.

    ```python
    handler.setFormatter(JsonFormatter(fields={"service.name": "catvsdog"}))
    ```

    Args:
        fields: added to every line.
    """

    def __init__(self, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self._fields = dict(fields or {})

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        line: dict[str, Any] = {
            "timestamp": when.replace("+00:00", "Z"),
            "severity": severity_text(record.levelno),
            "severity_number": severity_number(record.levelno),
            "logger": record.name,
            "message": record.getMessage(),
            **context_of(record),
            **exception_of(record),
        }
        if record.stack_info:
            line["stack"] = record.stack_info
        for key, value in {**self._fields, **extra_of(record)}.items():
            line.setdefault(key, _plain(value, _DEPTH))
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any, depth: int) -> Any:
    """What JSON can say: a number that is none, a foreign type or a bottomless nesting becomes text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth and isinstance(value, Mapping):
        return {str(key): _plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth - 1) for item in value]
    return str(value)
