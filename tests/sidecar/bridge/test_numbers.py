"""Numbers are exact, and bucket bounds look the same in every format and Prometheus version."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from sidecar.bridge.numbers import bound, number, seconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (2**70, "1180591620717411303424"),
        (5.0, "5.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e300, "1e+300"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_values(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (0.005, "0.005"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (100.0, "100.0"),
        (123456.0, "123456.0"),
        (1e6, "1e+06"),
        (1234567.5, "1.2345675e+06"),
        (-2.5e7, "-2.5e+07"),
        (1e21, "1e+21"),
        (math.inf, "+Inf"),
    ],
)
def test_bounds_are_written_as_go_does(value: float, text: str) -> None:
    assert bound(value) == text


@given(st.floats(min_value=0, allow_infinity=True))
@settings(deadline=None, max_examples=200)
def test_bounds_lose_nothing_and_agree_with_prometheus_own_client(value: float) -> None:
    assert float(bound(value)) == value
    if value == 0 or 1e-4 <= value < 1e15:  # outside, the client keeps Python's exponent form
        assert bound(value) == floatToGoString(value)  # type: ignore[no-untyped-call] # not annotated there


@pytest.mark.parametrize(
    ("nanoseconds", "text"), [(1_500_000_000, "1.5"), (1, "0.000000001"), (3_000_000_000, "3"), (0, "0")]
)
def test_times_are_exact(nanoseconds: int, text: str) -> None:
    assert seconds(nanoseconds) == text
