"""From live streams and what ended ones left: one family per metric, the pod's truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import reduce

from sidecar.bridge.entries import LASTING, Metric
from sidecar.bridge.entries import Series as Held
from sidecar.bridge.exemplars import newest_one
from sidecar.bridge.model import Exemplar, Family, HistogramValue, Series, Value
from sidecar.bridge.points import Problem
from sidecar.bridge.rules import Rule, rule_for
from sidecar.bridge.store import Store
from sidecar.bridge.values import add, common_bounds, exemplars_of, rebucket, with_exemplars
from sidecar.bridge.workers import SECOND

#: Older exemplars have been scraped, and their trace may have left Jaeger.
EXEMPLAR_AGE_NS = 600 * SECOND
#: Floats added in another order differ by less than this; a greater fall is real (sums of negative values).
ROUNDING = 1e-9


def families(store: Store, declared: Mapping[str, Rule], now_ns: int) -> tuple[tuple[Family, ...], tuple[Problem, ...]]:
    """All metrics that have a series, in the order in which they were first seen; and what could not be shown."""
    merged: list[Family] = []
    problems: list[Problem] = []
    for metric in store.metrics.values():
        try:
            family = _family(metric, declared, now_ns, problems)
        except (ArithmeticError, TypeError, ValueError) as error:
            # One metric that defies the arithmetic costs itself alone (issue 4, point 8).
            problems.append(Problem("unmergeable", metric.descriptor.name, f"{type(error).__name__}: {error}"))
            continue
        if family.series:
            merged.append(family)
    return tuple(merged), tuple(problems)


def combine(rule: Rule, values: list[tuple[int, int | float]]) -> int | float:
    """Values of live workers, each with the time it was read, by a rule."""
    numbers = [value for _, value in values]
    match rule:
        case Rule.SUM:
            return sum(numbers)
        case Rule.MAX:
            return max(numbers)
        case Rule.MIN:
            return min(numbers)
        case Rule.MEAN:
            return sum(numbers) / len(numbers)
        case Rule.LAST:
            return max(values, key=lambda one: one[0])[1]


def _family(metric: Metric, declared: Mapping[str, Rule], now_ns: int, problems: list[Problem]) -> Family:
    descriptor = metric.descriptor
    oldest = now_ns - EXEMPLAR_AGE_NS
    if descriptor.kind in LASTING:
        series = [_counted(held, oldest) for held in metric.series.values()]
        series = _same_bounds(metric, series, problems)
    else:
        rule = rule_for(descriptor.name, descriptor.kind, declared)
        found = (_level(held, rule) for held in metric.series.values())
        series = [one for one in found if one is not None]
    series.sort(key=lambda one: one.attributes)
    return Family(
        name=descriptor.name,
        kind=descriptor.kind,
        unit=descriptor.unit,
        description=metric.description,
        series=tuple(series),
        scope=(descriptor.scope.name, descriptor.scope.version),
        scope_attributes=descriptor.scope.attributes,
        schema_url=descriptor.scope.schema_url,
    )


def _counted(held: Held, oldest_ns: int) -> Series:
    parts = [entry.stream.total() for entry in held.entries]
    if held.base is not None:
        parts.insert(0, held.base)
    total = _never_less(held, reduce(add, parts))
    value_exemplars = _recent(exemplars_of(total), oldest_ns)
    exemplars = _recent((one for entry in held.entries for one in entry.stream.exemplars), oldest_ns)
    return Series(held.attributes, with_exemplars(total, value_exemplars), held.start_ns, newest_one(exemplars))


def _never_less(held: Held, total: Value) -> Value:
    """Takes out the rounding of floats added in another order than last time.

    When a worker's share moves into the base, the sum can come out one unit in the last place lower; Prometheus would
    take that for a restart and count the whole total again.
    """
    sum_ = total if isinstance(total, int | float) else total.sum
    if isinstance(sum_, int) or not math.isfinite(sum_):
        return total
    if sum_ < held.shown <= sum_ + abs(sum_) * ROUNDING:
        return held.shown if isinstance(total, int | float) else replace(total, sum=held.shown)
    held.shown = sum_
    return total


def _level(held: Held, rule: Rule) -> Series | None:
    values: list[tuple[int, int | float]] = []
    for entry in held.entries:
        if entry.worker.alive:
            level = entry.stream.level(entry.worker.silence_ns)
            if isinstance(level, int | float):
                values.append((entry.stream.time_ns, level))
    return Series(held.attributes, combine(rule, values), held.start_ns) if values else None


def _same_bounds(metric: Metric, series: list[Series], problems: list[Problem]) -> list[Series]:
    """A family's histograms at the bounds they all have: else a sum over series would mix different layouts."""
    values = [one.value for one in series if isinstance(one.value, HistogramValue)]
    if not values:
        return series
    used = {
        part.bounds
        for held in metric.series.values()
        for part in (*(entry.stream.total() for entry in held.entries), held.base)
        if isinstance(part, HistogramValue)
    }
    bounds = reduce(common_bounds, [value.bounds for value in values])
    lost = sorted({bound for layout in used for bound in layout} - set(bounds))
    if lost:
        problems.append(
            Problem(
                "mixed_bounds",
                metric.descriptor.name,
                f"workers use different bucket boundaries; shown at those in common {list(bounds)}, without {lost}",
                0,
            )
        )
    return [
        replace(one, value=rebucket(one.value, bounds)) if isinstance(one.value, HistogramValue) else one
        for one in series
    ]


def _recent(exemplars: Iterable[Exemplar], oldest_ns: int) -> tuple[Exemplar, ...]:
    return tuple(exemplar for exemplar in exemplars if exemplar.timestamp_ns >= oldest_ns)
