"""A record is one line that a JSON parser reads, whatever the service put into it."""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider

from instrumentation.logs import JsonFormatter, correlate

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test")


def record(message: object = "hello %s", *arguments: object, **fields: Any) -> logging.LogRecord:
    return logging.getLogger("shop").makeRecord(
        "shop", logging.WARNING, "/app/main.py", 42, message, arguments, None, extra=fields
    )


def parsed(one: logging.LogRecord, **options: Any) -> dict[str, Any]:
    line = JsonFormatter(**options).format(one)
    assert "\n" not in line

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads(line, parse_constant=refuse)
    return found


def test_a_record_in_a_span() -> None:
    """Time in UTC, OpenTelemetry's severity, the ids, the service's own fields."""
    with TRACER.start_as_current_span("work") as span:
        one = record("hello %s", "cat", pet="cat", size=3, ok=True)
        line = parsed(one, fields={"service.name": "catvsdog"})
    context = span.get_span_context()
    assert datetime.fromisoformat(line.pop("timestamp")) == datetime.fromtimestamp(one.created, UTC)
    assert line == {
        "severity": "WARN",
        "severity_number": 13,
        "logger": "shop",
        "message": "hello cat",
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "trace_flags": f"{context.trace_flags:02x}",
        "service.name": "catvsdog",
        "pet": "cat",
        "size": 3,
        "ok": True,
    }


def test_outside_of_a_trace_there_are_no_ids() -> None:
    """No zeros that look like some."""
    assert {"trace_id", "span_id", "trace_flags"} & set(parsed(record())) == set()


def test_an_exception_is_in_the_line() -> None:
    """Type, message, stack, with its line ends escaped; with its causes."""

    def fail() -> None:
        raise KeyError("lost") from ValueError("why")

    one = record("failed")
    try:
        fail()
    except KeyError:
        one.exc_info = sys.exc_info()
    line = parsed(one)
    assert line["exception.type"] == "KeyError"
    assert line["exception.message"] == "'lost'"
    assert "ValueError: why" in line["exception.stacktrace"]


def test_a_record_that_a_queue_brought_keeps_its_ids() -> None:
    """With `correlate`, the ids are those of the span it was made in, not of the writing thread's."""
    correlate()
    lines: list[dict[str, Any]] = []
    with TRACER.start_as_current_span("work") as span:
        one = record("hello")
    with TRACER.start_as_current_span("other"):
        outside = threading.Thread(target=lambda: lines.append(parsed(one)))
        outside.start()
        outside.join()
        lines.append(parsed(one))
    assert {line["trace_id"] for line in lines} == {f"{span.get_span_context().trace_id:032x}"}


def test_a_field_of_the_service_never_replaces_ours() -> None:
    """A search by severity finds what it says."""
    line = parsed(record("hello", severity="LOW", logger="mine"))
    assert (line["severity"], line["logger"]) == ("WARN", "shop")


class Odd:
    def __repr__(self) -> str:
        return "odd"


def test_what_json_cannot_say_becomes_text() -> None:
    """Not-a-numbers, foreign types, keys that are no text, nesting without end."""
    deep: list[Any] = []
    deep.append(deep)
    line = parsed(record("hello", nan=math.nan, many={1: (math.inf, Odd())}, deep=deep))
    assert line["nan"] == "nan"
    assert line["many"] == {"1": ["inf", "odd"]}
    assert "..." in json.dumps(line["deep"])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(message=st.text(), value=VALUES)
@settings(deadline=None, max_examples=100)
def test_every_record_is_one_line_of_json(message: str, value: object) -> None:
    """Control characters, quotes, any value."""
    assert parsed(record(message, value=value))["message"] == message
