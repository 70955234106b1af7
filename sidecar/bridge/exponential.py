"""Arithmetic of base-2 exponential histograms, exact at the coarsest scale of those that meet.

Source: OTel metrics data model, "ExponentialHistogram". Every step here only joins whole buckets, so that
no count is ever guessed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate

from sidecar.bridge.exemplars import newest, newest_per_bucket
from sidecar.bridge.model import Exemplar, ExponentialValue, HistogramValue

#: A side never gets more buckets than this; beyond, the scale is halved. SDKs default to 160.
MAX_BUCKETS = 320
#: Where text formats show exponential histograms: bounds at powers of two.
TEXT_SCALE = 0
#: Classic bounds per side in text; lower ones are left out, which keeps every shown count exact.
MAX_TEXT_BOUNDS = 64

Side = tuple[int, tuple[int, ...]]


def normal(value: ExponentialValue) -> ExponentialValue:
    """The same histogram without empty buckets at the ends and with at most MAX_BUCKETS a side."""
    positive = _trim(value.offset, value.counts)
    negative = _trim(value.negative_offset, value.negative_counts)
    by = 0
    while max(len(_shift(positive, by)[1]), len(_shift(negative, by)[1])) > MAX_BUCKETS:
        by += 1
    return _with(value, value.scale - by, _shift(positive, by), _shift(negative, by))


def to_scale(value: ExponentialValue, scale: int) -> ExponentialValue:
    """The same histogram at a coarser or equal scale."""
    by = value.scale - scale
    if by < 0:
        raise ValueError(f"scale {value.scale} cannot be refined to {scale}")
    if by == 0:
        return value
    return _with(
        value,
        scale,
        _shift((value.offset, value.counts), by),
        _shift((value.negative_offset, value.negative_counts), by),
    )


def add(a: ExponentialValue, b: ExponentialValue) -> ExponentialValue:
    """Both together, at the coarser scale and the wider zero bucket."""
    scale = min(a.scale, b.scale)
    # Widening one zero bucket can swallow a bucket that reaches further out, so both are asked until they agree.
    while a.zero_threshold != b.zero_threshold:
        threshold = max(a.zero_threshold, b.zero_threshold)
        a, b = _widen(a, threshold), _widen(b, threshold)
    # Bounded before the buckets are laid out: two narrow histograms far apart would else fill memory.
    while _span(a, b, scale) > MAX_BUCKETS:
        scale -= 1
    a, b = to_scale(a, scale), to_scale(b, scale)
    positive = _join((a.offset, a.counts), (b.offset, b.counts))
    negative = _join((a.negative_offset, a.negative_counts), (b.negative_offset, b.negative_counts))
    joined = ExponentialValue(
        scale=scale,
        zero_count=a.zero_count + b.zero_count,
        zero_threshold=a.zero_threshold,
        offset=positive[0],
        counts=positive[1],
        negative_offset=negative[0],
        negative_counts=negative[1],
        sum=a.sum + b.sum,
        count=a.count + b.count,
        exemplars=newest((*a.exemplars, *b.exemplars), text_bucket),
    )
    return normal(joined)


def subtract(a: ExponentialValue, b: ExponentialValue) -> ExponentialValue:
    """What `a` has counted beyond `b`, which it continues (`fell` is false)."""
    scale, threshold = min(a.scale, b.scale), max(a.zero_threshold, b.zero_threshold)
    a, b = _widen(to_scale(a, scale), threshold), _widen(to_scale(b, scale), threshold)
    less = replace(
        b,
        counts=tuple(-count for count in b.counts),
        negative_counts=tuple(-count for count in b.negative_counts),
        zero_count=-b.zero_count,
        sum=-b.sum,
        count=-b.count,
    )
    return add(a, less)


def fell(new: ExponentialValue, old: ExponentialValue) -> bool:
    """Whether `new` cannot continue `old`: it holds fewer values somewhere."""
    if new.count < old.count:
        return True
    scale = min(new.scale, old.scale)
    threshold = max(new.zero_threshold, old.zero_threshold)
    new, old = _widen(to_scale(new, scale), threshold), _widen(to_scale(old, scale), threshold)
    return (
        new.zero_count < old.zero_count
        or _side_fell((new.offset, new.counts), (old.offset, old.counts))
        or _side_fell((new.negative_offset, new.negative_counts), (old.negative_offset, old.negative_counts))
    )


def classic(values: Sequence[ExponentialValue]) -> tuple[HistogramValue, ...]:
    """A family's histograms with explicit buckets at powers of two, all with the same bounds.

    The bounds follow what the whole family has seen, so they only ever widen. Counts are exact; a negative value that
    equals a bound counts above it, since OTLP closes negative buckets on the other side than Prometheus.
    """
    if not values:
        return ()
    scale = min(TEXT_SCALE, *(value.scale for value in values))
    at_scale = [to_scale(value, scale) for value in values]
    threshold = max(value.zero_threshold for value in at_scale)
    positive = _edges(((v.offset, v.counts) for v in at_scale), scale, threshold)
    negative = _edges(((v.negative_offset, v.negative_counts) for v in at_scale), scale, threshold)
    bounds = (*(-bound for _, bound in reversed(negative)), *(bound for _, bound in positive))
    return tuple(_classic(value, positive, negative, bounds) for value in at_scale)


def text_bucket(exemplar: Exemplar) -> int:
    """Which rendered bucket an exemplar falls into: its binary exponent, signed."""
    if exemplar.value == 0 or not math.isfinite(exemplar.value):
        return 0
    mantissa, exponent = math.frexp(abs(exemplar.value))
    index = exponent - 1 if mantissa == 0.5 else exponent
    return (index + 2000) if exemplar.value > 0 else -(index + 2000)


def upper_bound(index: int, scale: int) -> float:
    """The upper edge of a bucket: base ** (index + 1); +Inf beyond the floats."""
    try:
        return math.pow(2.0, math.ldexp(index + 1, -scale))
    except OverflowError:
        return math.inf


def _with(value: ExponentialValue, scale: int, positive: Side, negative: Side) -> ExponentialValue:
    return replace(
        value,
        scale=scale,
        offset=positive[0],
        counts=positive[1],
        negative_offset=negative[0],
        negative_counts=negative[1],
    )


def _trim(offset: int, counts: tuple[int, ...]) -> Side:
    start, end = 0, len(counts)
    while start < end and counts[start] == 0:
        start += 1
    while end > start and counts[end - 1] == 0:
        end -= 1
    return (offset + start, counts[start:end]) if start < end else (0, ())


def _shift(side: Side, by: int) -> Side:
    offset, counts = side
    if by == 0 or not counts:
        return side
    first = offset >> by
    out = [0] * (((offset + len(counts) - 1) >> by) - first + 1)
    for index, count in enumerate(counts, offset):
        out[(index >> by) - first] += count
    return first, tuple(out)


def _span(a: ExponentialValue, b: ExponentialValue, scale: int) -> int:
    def one(sides: Iterable[tuple[int, int, int]]) -> int:
        ends = [(offset >> by, (offset + length - 1) >> by) for offset, length, by in sides if length]
        return max(high for _, high in ends) - min(low for low, _ in ends) + 1 if ends else 0

    return max(
        one((v.offset, len(v.counts), v.scale - scale) for v in (a, b)),
        one((v.negative_offset, len(v.negative_counts), v.scale - scale) for v in (a, b)),
    )


def _join(a: Side, b: Side) -> Side:
    if not a[1] or not b[1]:
        return a if a[1] else b
    first = min(a[0], b[0])
    out = [0] * (max(a[0] + len(a[1]), b[0] + len(b[1])) - first)
    for offset, counts in (a, b):
        for index, count in enumerate(counts, offset - first):
            out[index] += count
    return first, tuple(out)


def _widen(value: ExponentialValue, threshold: float) -> ExponentialValue:
    """Moves every bucket that starts below `threshold` into the zero bucket, whose threshold grows to cover them."""
    if threshold <= value.zero_threshold:
        return value
    zero, sides, reach = value.zero_count, [], threshold
    for offset, counts in ((value.offset, value.counts), (value.negative_offset, value.negative_counts)):
        taken = 0
        while taken < len(counts) and upper_bound(offset + taken - 1, value.scale) < threshold:
            if counts[taken]:
                reach = max(reach, upper_bound(offset + taken, value.scale))
            zero += counts[taken]
            taken += 1
        sides.append(_trim(offset + taken, counts[taken:]))
    return replace(_with(value, value.scale, sides[0], sides[1]), zero_count=zero, zero_threshold=reach)


def _side_fell(new: Side, old: Side) -> bool:
    new_offset, new_counts = new
    for index, count in enumerate(old[1], old[0]):
        place = index - new_offset
        if count > (new_counts[place] if 0 <= place < len(new_counts) else 0):
            return True
    return False


def _edges(sides: Iterable[Side], scale: int, threshold: float) -> list[tuple[int, float]]:
    """(index of the bucket that ends there, bound), from the lower edge of the lowest occupied bucket on."""
    held = [side for side in sides if side[1]]
    if not held:
        return []
    low = min(offset for offset, _ in held) - 1
    high = max(offset + len(counts) for offset, counts in held) - 1
    edges = ((index, upper_bound(index, scale)) for index in range(max(low, high - MAX_TEXT_BOUNDS + 1), high + 1))
    return [(index, bound) for index, bound in edges if 0 < bound < math.inf and bound >= threshold]


def _classic(
    value: ExponentialValue,
    positive: list[tuple[int, float]],
    negative: list[tuple[int, float]],
    bounds: tuple[float, ...],
) -> HistogramValue:
    below_zero = sum(value.negative_counts)
    # A negative bound -base^(i+1) has below it what is further from zero than bucket i.
    cumulative = [below_zero - _up_to(value.negative_offset, value.negative_counts, i) for i, _ in reversed(negative)]
    base = below_zero + value.zero_count
    cumulative += [base + _up_to(value.offset, value.counts, i) for i, _ in positive]
    cumulative.append(value.count)
    counts = tuple(b - a for a, b in zip((0, *cumulative), cumulative, strict=False))
    return HistogramValue(bounds, counts, value.sum, value.count, newest_per_bucket(value.exemplars, bounds))


def _up_to(offset: int, counts: tuple[int, ...], index: int) -> int:
    taken = index - offset + 1
    return list(accumulate(counts))[min(taken, len(counts)) - 1] if taken > 0 and counts else 0
