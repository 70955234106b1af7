"""Arithmetic on histograms: adding, what happened between two looks, and quantiles as Prometheus estimates them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.bridge.model import ExponentialValue, HistogramValue

EMPTY = HistogramValue((), (0,), 0.0, 0)


def quantile(q: float, histogram: HistogramValue) -> float | None:
    """The q-quantile (0 < q < 1) in the histogram's unit, or None when it holds nothing.

    Linear within a bucket, the first from 0 when its bound is positive, and the last finite bound for anything above
    it: the rules of PromQL's `histogram_quantile`, so that the page and a dashboard agree.
    """
    if histogram.count <= 0 or not histogram.bounds:
        return None
    rank = q * sum(histogram.counts)
    below = 0
    for at, count in enumerate(histogram.counts[:-1]):
        if below + count >= rank and count:
            upper = histogram.bounds[at]
            lower = histogram.bounds[at - 1] if at else min(0.0, upper)
            return lower + (upper - lower) * (rank - below) / count
        below += count
    return histogram.bounds[-1]


@dataclass(frozen=True, slots=True)
class Latency:
    """What people ask of a duration: seconds, each None when nothing was measured in the window."""

    p50: float | None
    p95: float | None
    p99: float | None
    mean: float | None


def latency(histogram: HistogramValue) -> Latency:
    """The usual quantiles and the mean of a histogram of seconds."""
    return Latency(quantile(0.5, histogram), quantile(0.95, histogram), quantile(0.99, histogram), mean(histogram))


def share(part: int, whole: int) -> float | None:
    """0 to 1; None of nothing."""
    return part / whole if whole else None


def mean(histogram: HistogramValue) -> float | None:
    """The mean of all values, or None when there is none or the source records no sum."""
    return None if histogram.count <= 0 or math.isnan(histogram.sum) else histogram.sum / histogram.count


def total(histograms: Iterable[HistogramValue]) -> HistogramValue:
    """All together. Where boundaries differ a bucket is counted at the next boundary of the first one's."""
    result = EMPTY
    for one in histograms:
        if not result.bounds:
            result = HistogramValue(one.bounds, one.counts, one.sum + result.sum, one.count + result.count)
            continue
        counts = _onto(result.bounds, one)
        added = tuple(a + b for a, b in zip(result.counts, counts, strict=True))
        result = HistogramValue(result.bounds, added, result.sum + one.sum, result.count + one.count)
    return result


def since(now: HistogramValue, before: HistogramValue | None) -> HistogramValue:
    """What was recorded between two looks; all of `now` when the boundaries changed or it began anew."""
    if before is None or before.bounds != now.bounds or before.count > now.count:
        return now
    counts = tuple(max(0, a - b) for a, b in zip(now.counts, before.counts, strict=True))
    return HistogramValue(now.bounds, counts, now.sum - before.sum, now.count - before.count)


def explicit(value: ExponentialValue) -> HistogramValue:
    """An exponential histogram with explicit boundaries; its own are exact, so no precision is lost."""
    growth = 2.0**-value.scale

    def bound(index: int) -> float:
        return float(2.0 ** min(1023.0, max(-1074.0, index * growth)))

    bounds: list[float] = []
    counts: list[int] = []
    for at in reversed(range(len(value.negative_counts))):
        bounds.append(-bound(value.negative_offset + at))
        counts.append(value.negative_counts[at])
    bounds.append(value.zero_threshold)
    counts.append(value.zero_count)
    if value.counts:
        bounds.append(bound(value.offset))
        counts.append(0)
    for at, count in enumerate(value.counts):
        bounds.append(bound(value.offset + at + 1))
        counts.append(count)
    return _rising(bounds, [*counts, 0], value)


def _rising(bounds: list[float], counts: list[int], value: ExponentialValue) -> HistogramValue:
    """Joins buckets whose boundaries fell together at the ends of the floating-point range."""
    kept: list[float] = []
    held: list[int] = []
    for bound, count in zip(bounds, counts[:-1], strict=True):
        if kept and bound <= kept[-1]:
            held[-1] += count
        else:
            kept.append(bound)
            held.append(count)
    return HistogramValue(tuple(kept), (*held, counts[-1]), value.sum, value.count)


def _onto(bounds: tuple[float, ...], histogram: HistogramValue) -> tuple[int, ...]:
    if histogram.bounds == bounds:
        return histogram.counts
    counts = [0] * (len(bounds) + 1)
    for upper, count in zip((*histogram.bounds, math.inf), histogram.counts, strict=True):
        counts[bisect_left(bounds, upper)] += count
    return tuple(counts)
