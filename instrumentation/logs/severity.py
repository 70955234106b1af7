"""Python's log levels as OpenTelemetry's severities (logs data model, Severity Fields). Pure."""

from __future__ import annotations

from typing import Final

_SHORT: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


def severity_number(level: int) -> int:
    """1 to 24, four for each of Python's steps of ten; 0, unspecified, for a record without a level.

    A level between two of Python's is up to three above the lower one: 25 (INFO and a half) is 12.
    """
    if level <= 0:
        return 0
    step, within = divmod(min(level, 59), 10)
    return 1 + 4 * step + min(within, 3)


def severity_text(level: int) -> str:
    """The range's short name: WARNING is WARN, CRITICAL is FATAL; empty for a record without a level."""
    number = severity_number(level)
    return _SHORT[(number - 1) // 4] if number else ""
