"""Python's levels are OpenTelemetry's severities."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instrumentation.logs.severity import severity_number, severity_text


@pytest.mark.parametrize(
    ("level", "number", "text"),
    [
        (logging.NOTSET, 0, ""),
        (5, 4, "TRACE"),
        (logging.DEBUG, 5, "DEBUG"),
        (logging.INFO, 9, "INFO"),
        (25, 12, "INFO"),
        (logging.WARNING, 13, "WARN"),
        (logging.ERROR, 17, "ERROR"),
        (logging.CRITICAL, 21, "FATAL"),
        (1000, 24, "FATAL"),
    ],
)
def test_levels_and_what_lies_between(level: int, number: int, text: str) -> None:
    """The number of the data model and its range's short name."""
    assert (severity_number(level), severity_text(level)) == (number, text)


@given(st.integers(-100, 1000), st.integers(-100, 1000))
def test_a_higher_level_is_never_less_severe(one: int, other: int) -> None:
    """And always within the model's range."""
    low, high = sorted((one, other))
    assert 0 <= severity_number(low) <= severity_number(high) <= 24
