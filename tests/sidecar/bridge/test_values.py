"""Values add up exactly, and a lower one is seen for what it is."""

from __future__ import annotations

import math
from bisect import bisect_left

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.bridge.model import Exemplar, HistogramValue, SummaryValue, Value
from sidecar.bridge.values import add, common_bounds, fell, keep_newest, rebucket

BOUNDS = st.lists(st.sampled_from([0.1, 0.2, 0.5, 1.0, 2.0, 5.0]), unique=True).map(lambda b: tuple(sorted(b)))
SAMPLES = st.lists(st.sampled_from([0.05, 0.1, 0.15, 0.3, 0.9, 1.0, 3.0, 9.0]))


def histogram(samples: list[float], bounds: tuple[float, ...]) -> HistogramValue:
    counts = [0] * (len(bounds) + 1)
    for sample in samples:
        counts[bisect_left(bounds, sample)] += 1
    return HistogramValue(bounds, tuple(counts), math.fsum(samples), len(samples))


@given(SAMPLES, SAMPLES, BOUNDS, BOUNDS)
@settings(deadline=None, max_examples=100)
def test_the_sum_of_two_histograms_is_the_histogram_of_all_samples(
    left: list[float], right: list[float], left_bounds: tuple[float, ...], right_bounds: tuple[float, ...]
) -> None:
    """Whatever the two layouts are: at the bounds that both have, every count is exact."""
    total = add(histogram(left, left_bounds), histogram(right, right_bounds))
    truth = histogram(left + right, tuple(sorted(set(left_bounds) & set(right_bounds))))
    assert isinstance(total, HistogramValue)
    assert (total.bounds, total.counts, total.count) == (truth.bounds, truth.counts, truth.count)
    assert total.sum == pytest.approx(truth.sum)


def test_rebucketing_refuses_bounds_it_would_have_to_guess() -> None:
    with pytest.raises(ValueError, match=r"bounds \[0.3\] are not among"):
        rebucket(histogram([0.2], (0.1, 0.5)), (0.3,))


def test_common_bounds_keep_their_order() -> None:
    assert common_bounds((1.0, 2.0, 3.0), (0.5, 2.0, 3.0)) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (1, 2, True),
        (2, 2, False),
        (HistogramValue((1.0,), (2, 1), 0, 3), HistogramValue((1.0,), (1, 1), 0, 2), False),
        (HistogramValue((1.0,), (0, 9), 0, 9), HistogramValue((1.0,), (1, 1), 0, 2), True),
        (HistogramValue((2.0,), (5, 5), 0, 10), HistogramValue((1.0,), (1, 1), 0, 2), True),
        (HistogramValue((1.0,), (1, 1), -5.0, 2), HistogramValue((1.0,), (1, 1), 5.0, 2), False),
        (SummaryValue(1, 1), SummaryValue(1, 2), True),
    ],
)
def test_a_lower_count_or_bucket_is_a_reset_and_a_lower_sum_is_not(new: Value, old: Value, *, expected: bool) -> None:
    assert fell(new, old) is expected


def test_different_kinds_do_not_mix() -> None:
    with pytest.raises(TypeError, match="cannot add int and SummaryValue"):
        add(1, SummaryValue(1, 1))
    with pytest.raises(TypeError, match="cannot compare"):
        fell(SummaryValue(1, 1), 1)


def test_exemplars_stay_until_a_newer_one_comes_into_their_bucket() -> None:
    def at(value: float, time: int) -> Exemplar:
        return Exemplar(value, time)

    older = HistogramValue((1.0,), (1, 1), 0, 2, (at(0.5, 1), at(2.0, 1)))
    newer = HistogramValue((1.0,), (2, 1), 0, 3, (at(0.7, 5),))
    kept = keep_newest(newer, older.exemplars)
    assert isinstance(kept, HistogramValue)
    assert kept.exemplars == (at(0.7, 5), at(2.0, 1))
