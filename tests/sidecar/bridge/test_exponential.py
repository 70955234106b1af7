"""Exponential histograms merge and become classic ones without a guessed count."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.bridge import exponential
from sidecar.bridge.model import Exemplar, ExponentialValue

MAGNITUDES = st.floats(min_value=1e-9, max_value=1e9)
SAMPLES = st.lists(st.one_of(MAGNITUDES, MAGNITUDES.map(lambda v: -v), st.just(0.0)), max_size=30)
SCALES = st.integers(min_value=-3, max_value=6)


def index(value: float, scale: int) -> int:
    """The bucket by definition: the smallest i with |value| <= base^(i+1)."""
    guess = math.ceil(math.ldexp(math.log2(abs(value)), scale)) - 1
    while exponential.upper_bound(guess, scale) < abs(value):
        guess += 1
    while exponential.upper_bound(guess - 1, scale) >= abs(value):
        guess -= 1
    return guess


def side(samples: list[float], scale: int) -> tuple[int, tuple[int, ...]]:
    places = [index(value, scale) for value in samples]
    if not places:
        return 0, ()
    counts = [0] * (max(places) - min(places) + 1)
    for place in places:
        counts[place - min(places)] += 1
    return min(places), tuple(counts)


def histogram(samples: list[float], scale: int) -> ExponentialValue:
    offset, counts = side([value for value in samples if value > 0], scale)
    negative_offset, negative_counts = side([value for value in samples if value < 0], scale)
    zeros = sum(value == 0 for value in samples)
    return ExponentialValue(
        scale, zeros, 0.0, offset, counts, negative_offset, negative_counts, math.fsum(samples), len(samples)
    )


@given(SAMPLES, SAMPLES, SCALES, SCALES)
@settings(deadline=None, max_examples=100)
def test_two_added_are_the_histogram_of_all_samples(
    left: list[float], right: list[float], left_scale: int, right_scale: int
) -> None:
    total = exponential.add(histogram(left, left_scale), histogram(right, right_scale))
    truth = exponential.normal(histogram(left + right, total.scale))
    assert total.scale <= min(left_scale, right_scale)
    assert (total.offset, total.counts, total.zero_count) == (truth.offset, truth.counts, truth.zero_count)
    assert (total.negative_offset, total.negative_counts) == (truth.negative_offset, truth.negative_counts)
    assert total.count == len(left) + len(right)


@given(SAMPLES, SAMPLES, SCALES)
@settings(deadline=None, max_examples=60)
def test_more_samples_never_look_like_a_reset(first: list[float], more: list[float], scale: int) -> None:
    old, new = histogram(first, scale), histogram(first + more, scale)
    assert not exponential.fell(new, old)
    assert not exponential.fell(exponential.to_scale(new, scale - 2), old)
    assert exponential.fell(old, new) == bool(more)


@given(st.lists(SAMPLES, min_size=1, max_size=3), SCALES)
@settings(deadline=None, max_examples=60)
def test_classic_buckets_hold_what_is_below_their_bounds(groups: list[list[float]], scale: int) -> None:
    """All series of a family get the same bounds; every cumulative count is the true one."""
    made = exponential.classic([histogram(samples, scale) for samples in groups])
    assert len({value.bounds for value in made}) == 1
    for samples, value in zip(groups, made, strict=True):
        assert value.count == sum(value.counts) == len(samples)
        cumulative = 0
        for bound, count in zip(value.bounds, value.counts, strict=False):
            cumulative += count
            # A negative bound is open where Prometheus closes it: see `classic`.
            below = sum(sample <= bound if bound > 0 else sample < bound for sample in samples)
            assert cumulative == below


def test_a_wide_span_is_kept_small() -> None:
    """Two narrow histograms far apart at a fine scale must not be laid out bucket by bucket."""
    total = exponential.add(histogram([1e-9] * 3, 6), exponential.to_scale(histogram([1e9], 6), 6))
    assert len(total.counts) <= exponential.MAX_BUCKETS
    assert total.count == sum(total.counts) == 4


def test_the_wider_zero_bucket_takes_in_what_it_covers() -> None:
    coarse = ExponentialValue(0, 5, 0.3, 0, (1,), 0, (), 0.0, 6)  # 0.3 lies inside (0.25, 0.5]
    fine = ExponentialValue(0, 0, 0.0, -4, (1, 1, 1, 1, 1), 0, (), 0.0, 5)  # from 1/16 to 2
    total = exponential.add(coarse, fine)
    assert total.zero_threshold == 0.5
    assert total.zero_count == 5 + 3  # (1/16, 1/8], (1/8, 1/4], (1/4, 1/2]
    assert (total.offset, total.counts, total.count) == (-1, (1, 2), 11)


def test_refining_is_refused() -> None:
    with pytest.raises(ValueError, match="scale 0 cannot be refined to 1"):
        exponential.to_scale(histogram([1.0], 0), 1)


def test_bounds_beyond_the_floats_are_infinite() -> None:
    assert exponential.upper_bound(5000, 0) == math.inf


@pytest.mark.parametrize(("value", "other"), [(0.75, 1.0), (-3.0, -4.0)])
def test_exemplars_of_one_rendered_bucket_compete(value: float, other: float) -> None:
    assert exponential.text_bucket(Exemplar(value, 1)) == exponential.text_bucket(Exemplar(other, 2))
    assert exponential.text_bucket(Exemplar(value, 1)) != exponential.text_bucket(Exemplar(other * 1.01, 2))
