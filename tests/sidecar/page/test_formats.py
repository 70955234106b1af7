"""Numbers in the page's words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.page import formats

NS = 1_000_000_000
DAY = 1_763_740_931 * NS + 123_000_000


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (formats.duration, None, "\N{EN DASH}"),
        (formats.duration, 0, "0 s"),
        (formats.duration, 0.00085, "850 µs"),
        (formats.duration, 0.0123, "12.3 ms"),
        (formats.duration, 0.5, "500 ms"),
        (formats.duration, 0.9996, "1 s"),
        (formats.duration, 1.239, "1.24 s"),
        (formats.duration, 185, "3 min 5 s"),
        (formats.duration, 120, "2 min"),
        (formats.duration, 7980, "2 h 13 min"),
        (formats.duration, 3600, "1 h"),
        (formats.nanoseconds, 1_500_000, "1.5 ms"),
        (formats.count, 1234567, "1,234,567"),
        (formats.rate, 0, "0/s"),
        (formats.rate, 12.34, "12.3/s"),
        (formats.rate, 0.05, "3/min"),
        (formats.rate, 1234.5, "1,234/s"),
        (formats.percent, None, "\N{EN DASH}"),
        (formats.percent, 0, "0 %"),
        (formats.percent, 0.0042, "0.42 %"),
        (formats.percent, 0.125, "12.5 %"),
        (formats.percent, 1, "100 %"),
        (formats.percent, 0.00001, "< 0.01 %"),
        (formats.size, 0, "0 B"),
        (formats.size, 12_900_000, "12.3 MiB"),
        (formats.size, 5 << 40, "5,120 GiB"),
        (formats.clock, DAY, "16:02:11 UTC"),
        (formats.timestamp, DAY, "2025-11-21 16:02:11.123 UTC"),
        (formats.timestamp, 1 << 200, "1970-01-01 00:00:00.000 UTC"),
    ],
)
def test_written_as_people_read_it(write: Callable[[object], str], value: object, text: str) -> None:
    assert write(value) == text


def test_ago_never_speaks_of_the_future() -> None:
    """A span whose clock is ahead happened now."""
    assert formats.ago(DAY, DAY + 3 * NS) == "3 s ago"
    assert formats.ago(DAY + 3 * NS, DAY) == "now"


@given(st.floats(0, 1e9))
def test_any_duration_can_be_written(seconds: float) -> None:
    assert formats.duration(seconds)[-1] in "snh"
