"""Exponential histograms keep every count when they become native ones."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.bridge import exponential
from sidecar.bridge.model import ExponentialValue
from sidecar.bridge.native import MAX_SCHEMA, Native, Side, native

COUNTS = st.lists(st.sampled_from([0, 0, 0, 1, 5, 2**40]), max_size=30).map(tuple)


def value(
    scale: int, offset: int = 0, counts: tuple[int, ...] = (), negative: tuple[int, ...] = ()
) -> ExponentialValue:
    return exponential.normal(
        ExponentialValue(scale, 3, 0.0, offset, counts, -offset, negative, 1.0, 3 + sum(counts) + sum(negative))
    )


def unfolded(side: Side) -> dict[int, int]:
    """Counts by Prometheus' bucket number, as its documentation reads spans and deltas."""
    counts = iter(accumulate(side.deltas))
    found, at = {}, 0
    for offset, length in side.spans:
        at += offset
        for _ in range(length):
            found[at] = next(counts)
            at += 1
    assert next(counts, None) is None
    return {index: count for index, count in found.items() if count}


def expected(offset: int, counts: tuple[int, ...]) -> dict[int, int]:
    return {offset + place + 1: count for place, count in enumerate(counts) if count}


@given(st.integers(-4, 20), st.integers(-1000, 1000), COUNTS, COUNTS)
@settings(deadline=None, max_examples=200)
def test_spans_and_deltas_hold_every_bucket(
    scale: int, offset: int, counts: tuple[int, ...], negative: tuple[int, ...]
) -> None:
    source = value(scale, offset, counts, negative)
    if source.scale < -4:
        return
    made = native(source)
    assert made is not None
    assert made.schema == min(source.scale, MAX_SCHEMA)
    held = exponential.to_scale(source, made.schema)
    assert unfolded(made.positive) == expected(held.offset, held.counts)
    assert unfolded(made.negative) == expected(held.negative_offset, held.negative_counts)


def test_the_layout_of_a_known_histogram() -> None:
    """Small gaps are zeros, larger ones a new span; the index is that of the upper boundary."""
    made = native(value(2, -3, (1, 0, 0, 4, 0, 0, 0, 2)))
    assert made == Native(2, 1e-128, Side(((-2, 4), (3, 1)), (1, -1, 0, 4, -2)), Side((), ()))


def test_an_empty_histogram_is_native_too() -> None:
    """Prometheus tells it by the zero threshold."""
    assert native(value(20)) == Native(8, 1e-128, Side((), ()), Side((), ()))


@pytest.mark.parametrize("scale", [-5, -20])
def test_a_scale_that_prometheus_has_no_schema_for(scale: int) -> None:
    assert native(value(scale, 0, (1,))) is None
