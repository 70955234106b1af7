"""Quantiles agree with Prometheus' rules, and adding and subtracting histograms loses nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.bridge.model import ExponentialValue, HistogramValue
from sidecar.page.quantiles import EMPTY, explicit, latency, mean, quantile, since, total

BOUNDS = (0.1, 0.2, 0.5, 1.0)


def histogram(*counts: int, bounds: tuple[float, ...] = BOUNDS, total_sum: float = 1.0) -> HistogramValue:
    return HistogramValue(bounds, counts, total_sum, sum(counts))


@pytest.mark.parametrize(
    ("q", "counts", "expected"),
    [
        (0.5, (10, 0, 0, 0, 0), 0.05),  # linear from 0 in the first bucket
        (0.5, (0, 10, 0, 0, 0), 0.15),
        (0.5, (5, 5, 0, 0, 0), 0.1),  # exactly at a boundary
        (0.95, (50, 40, 10, 0, 0), 0.35),
        (0.99, (0, 0, 0, 0, 7), 1.0),  # above the last boundary: that boundary
        (0.9, (1, 0, 0, 8, 1), 0.5 + 0.5 * 8 / 8),
    ],
)
def test_quantiles_are_prometheus_quantiles(q: float, counts: tuple[int, ...], expected: float) -> None:
    """Interpolation as `histogram_quantile` does it, so that page and dashboard show the same."""
    assert quantile(q, histogram(*counts)) == pytest.approx(expected)


def test_a_negative_first_bound_is_not_interpolated_from_zero() -> None:
    """In a first bucket that ends below zero the answer is its bound."""
    assert quantile(0.5, histogram(4, 0, bounds=(-2.0,))) == -2.0


def test_nothing_measured_is_none_not_nan() -> None:
    """An empty histogram has no quantile and no mean; JSON and page show it as absent."""
    assert quantile(0.5, EMPTY) is None
    assert mean(EMPTY) is None
    assert mean(histogram(1, 0, 0, 0, 0, total_sum=math.nan)) is None
    assert latency(histogram(0, 0, 0, 0, 0)).p99 is None


counts_of_five = st.lists(st.integers(0, 50), min_size=5, max_size=5)


@given(counts_of_five, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
@settings(deadline=None, max_examples=80)
def test_quantiles_rise_and_stay_inside(counts: list[int], q: float, p: float) -> None:
    """A higher quantile is never lower, and none lies outside the boundaries."""
    value = histogram(*counts)
    low, high = quantile(min(p, q), value), quantile(max(p, q), value)
    if sum(counts):
        assert low is not None
        assert high is not None
        assert 0 <= low <= high <= BOUNDS[-1]
    else:
        assert low is high is None


@given(st.lists(counts_of_five, max_size=6))
@settings(deadline=None, max_examples=60)
def test_total_and_since_are_inverse(parts: list[list[int]]) -> None:
    """What was added between two looks is the difference of the totals."""
    histograms = [histogram(*counts) for counts in parts]
    for cut in range(len(histograms) + 1):
        before, everything = total(histograms[:cut]), total(histograms)
        added = since(everything, before if cut else None)
        assert added.count == sum(one.count for one in histograms[cut:])
        assert sum(added.counts) == added.count


def test_other_boundaries_lose_no_count() -> None:
    """A histogram with other boundaries is counted at the next boundary of the first one's."""
    joined = total([histogram(1, 0, 0, 0, 0), HistogramValue((0.15, 2.0), (3, 4, 5), 9.0, 12)])
    assert joined.bounds == BOUNDS
    assert joined.counts == (1, 3, 0, 0, 9)
    assert (joined.count, joined.sum) == (13, 10.0)


def test_a_total_that_fell_began_anew() -> None:
    """After a restart everything there is was added since."""
    now = histogram(1, 0, 0, 0, 0)
    assert since(now, histogram(9, 0, 0, 0, 0)) == now
    assert since(now, HistogramValue((5.0,), (0, 0), 0.0, 0)) == now


def test_exponential_histograms_keep_their_boundaries() -> None:
    """Scale 0 doubles from bucket to bucket; negative values, zeros and positive ones stand in order."""
    value = ExponentialValue(0, 2, 0.0, 0, (3, 0, 5), 0, (1,), 30.0, 11)
    shown = explicit(value)
    assert shown.bounds == (-1.0, 0.0, 1.0, 2.0, 4.0, 8.0)
    assert shown.counts == (1, 2, 0, 3, 0, 5, 0)
    assert (shown.count, shown.sum) == (11, 30.0)
    assert quantile(0.99, shown) == pytest.approx(4 + 4 * (0.99 * 11 - 6) / 5)


@given(
    st.integers(-10, 20),
    st.integers(-2000, 2000),
    st.lists(st.integers(0, 9), max_size=20),
    st.lists(st.integers(0, 9), max_size=5),
)
@settings(deadline=None, max_examples=60)
def test_any_exponential_histogram_has_rising_boundaries(
    scale: int, offset: int, counts: list[int], negative: list[int]
) -> None:
    """Extreme scales and offsets neither overflow nor lose a count."""
    value = ExponentialValue(scale, 1, 0.0, offset, tuple(counts), offset, tuple(negative), 0.0, 1 + sum(counts))
    shown = explicit(value)
    assert list(shown.bounds) == sorted(set(shown.bounds))
    assert len(shown.counts) == len(shown.bounds) + 1
    assert sum(shown.counts) == 1 + sum(counts) + sum(negative)
