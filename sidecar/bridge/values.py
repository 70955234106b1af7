"""Arithmetic on metric values of every kind: what two processes have counted together, and whether one began anew."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

from sidecar.bridge import exponential
from sidecar.bridge.exemplars import newest, newest_per_bucket
from sidecar.bridge.model import Exemplar, ExponentialValue, HistogramValue, SummaryValue, Value


def add(a: Value, b: Value) -> Value:
    """What both count together.

    Histograms of different bounds meet at the bounds they have in common: the only layout in which every bucket's
    count is known exactly, and in which neither the total nor a remaining bucket ever falls.

    Raises:
        TypeError: values of different kinds; the caller keeps kinds apart.
    """
    if isinstance(a, HistogramValue) and isinstance(b, HistogramValue):
        return _add_histograms(a, b)
    if isinstance(a, ExponentialValue) and isinstance(b, ExponentialValue):
        return exponential.add(a, b)
    if isinstance(a, SummaryValue) and isinstance(b, SummaryValue):
        return SummaryValue(a.sum + b.sum, a.count + b.count)
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a + b
    raise TypeError(f"cannot add {type(a).__name__} and {type(b).__name__}")


def subtract(a: Value, b: Value) -> Value:
    """What `a` has counted beyond `b`, which it continues: `fell(a, b)` is false.

    Raises:
        TypeError: values of different kinds.
    """
    if isinstance(a, HistogramValue) and isinstance(b, HistogramValue):
        counts = tuple(x - y for x, y in zip(a.counts, b.counts, strict=True))
        return HistogramValue(a.bounds, counts, _beyond(a.sum, b.sum), a.count - b.count, a.exemplars)
    if isinstance(a, ExponentialValue) and isinstance(b, ExponentialValue):
        return exponential.subtract(a, b)
    if isinstance(a, SummaryValue) and isinstance(b, SummaryValue):
        return SummaryValue(_beyond(a.sum, b.sum), a.count - b.count)
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a - b
    raise TypeError(f"cannot subtract {type(b).__name__} from {type(a).__name__}")


def fell(new: Value, old: Value) -> bool:
    """Whether a cumulative `new` cannot continue `old`: the process began anew.

    Histograms: any count or bucket lower (DESIGN, bridge), or other bounds. Sums of values may fall without a reset
    when values are negative, so they do not decide.
    """
    if isinstance(new, HistogramValue) and isinstance(old, HistogramValue):
        if new.bounds != old.bounds:
            return True
        return new.count < old.count or any(a < b for a, b in zip(new.counts, old.counts, strict=True))
    if isinstance(new, ExponentialValue) and isinstance(old, ExponentialValue):
        return exponential.fell(new, old)
    if isinstance(new, SummaryValue) and isinstance(old, SummaryValue):
        return new.count < old.count
    if isinstance(new, int | float) and isinstance(old, int | float):
        return new < old
    raise TypeError(f"cannot compare {type(new).__name__} and {type(old).__name__}")


def rebucket(value: HistogramValue, bounds: tuple[float, ...]) -> HistogramValue:
    """The same histogram with some of its own bounds left out; exact.

    Raises:
        ValueError: `bounds` has one that the histogram does not have.
    """
    if bounds == value.bounds:
        return value
    missing = set(bounds) - set(value.bounds)
    if missing:
        raise ValueError(f"bounds {sorted(missing)} are not among {value.bounds}")
    counts = [0] * (len(bounds) + 1)
    for upper, count in zip(value.bounds, value.counts, strict=False):
        counts[bisect_left(bounds, upper)] += count
    counts[-1] += value.counts[-1]
    return replace(value, bounds=bounds, counts=tuple(counts), exemplars=newest_per_bucket(value.exemplars, bounds))


def common_bounds(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, ...]:
    """The bounds that both have."""
    if a == b:
        return a
    shared = set(b)
    return tuple(bound for bound in a if bound in shared)


def exemplars_of(value: Value) -> tuple[Exemplar, ...]:
    """A histogram's exemplars; numbers carry theirs outside the value."""
    return value.exemplars if isinstance(value, HistogramValue | ExponentialValue) else ()


def with_exemplars(value: Value, exemplars: tuple[Exemplar, ...]) -> Value:
    """The value with these exemplars, if its kind carries any."""
    return replace(value, exemplars=exemplars) if isinstance(value, HistogramValue | ExponentialValue) else value


def keep_newest(value: Value, older: tuple[Exemplar, ...]) -> Value:
    """The value with older exemplars for the buckets in which it has none."""
    if not older:
        return value
    if isinstance(value, HistogramValue):
        return replace(value, exemplars=newest_per_bucket((*older, *value.exemplars), value.bounds))
    if isinstance(value, ExponentialValue):
        exemplars = newest((*older, *value.exemplars), exponential.text_bucket)
        return replace(value, exemplars=exemplars)
    return value


def _beyond(a: float, b: float) -> float:
    return 0.0 if a == b else a - b  # also of two infinite sums


def _add_histograms(a: HistogramValue, b: HistogramValue) -> HistogramValue:
    bounds = common_bounds(a.bounds, b.bounds)
    a, b = rebucket(a, bounds), rebucket(b, bounds)
    return HistogramValue(
        bounds,
        tuple(x + y for x, y in zip(a.counts, b.counts, strict=True)),
        a.sum + b.sum,
        a.count + b.count,
        newest_per_bucket((*a.exemplars, *b.exemplars), bounds) if a.exemplars or b.exemplars else (),
    )
