"""A metric under the name, labels and unit that a team's dashboards expect, or a refusal: a view never guesses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from sidecar.bridge import names
from sidecar.bridge.exemplars import newest_one
from sidecar.bridge.merge import combine
from sidecar.bridge.model import (
    Attributes,
    Exemplar,
    ExponentialValue,
    Family,
    HistogramValue,
    Kind,
    Series,
    SummaryValue,
    Value,
)
from sidecar.bridge.names import Naming
from sidecar.bridge.prom import TYPES, Metric, Row, add_rows
from sidecar.bridge.rules import Rule
from sidecar.bridge.values import exemplars_of
from sidecar.contract.model import Label, View
from sidecar.contract.units import factor, scaled

LEVELS = frozenset({Kind.GAUGE, Kind.UPDOWN})
#: Rules that give the same result whether applied to workers first or to all values at once.
REGROUPABLE = frozenset({Rule.SUM, Rule.MIN, Rule.MAX})


class NotExactError(ValueError):
    """The view cannot show the true number; the text says why and what would help."""


def apply(
    view: View, families: Sequence[Family], rule_of: Callable[[Family], Rule], naming: Naming = names.PLAIN
) -> Metric:
    """The view of a metric; `families` are those of its name, one per scope.

    Raises:
        NotExactError: the view asks for what the metric cannot give.
    """
    family = families[0]
    different = next((one for one in families if (one.kind, one.unit) != (family.kind, family.unit)), None)
    if different is not None:
        raise NotExactError(
            f"{view.metric} is both a {family.kind} in {family.unit!r} and a {different.kind} in {different.unit!r}"
        )
    by = _factor(view, family)
    rows = [row for one in families for series in one.series for row in _row(view, one, series, by, naming)]
    grouped: dict[Attributes, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.labels, []).append(row)
    kind = Kind.COUNTER if view.read != "value" else family.kind
    merged = (_merge(view, kind, rule_of(family), labels, group) for labels, group in grouped.items())
    return Metric(
        name=view.name,
        type=TYPES[kind],
        help=view.help if view.help is not None else family.description,
        unit="" if view.read == "count" else names.unit_word(view.unit or family.unit, kind),
        rows=tuple(sorted(merged, key=lambda row: row.labels)),
    )


def _factor(view: View, family: Family) -> Fraction:
    if view.read != "value" and family.kind in (Kind.COUNTER, *LEVELS):
        raise NotExactError(f"read: {view.read} needs a histogram or summary; {family.name} is a {family.kind}")
    if view.unit is None or view.unit == family.unit:
        return Fraction(1)
    by = factor(family.unit, view.unit)
    if by is None:
        raise NotExactError(f"unit {view.unit!r} cannot be had from {family.name}, whose unit is {family.unit!r}")
    if family.kind is Kind.EXPONENTIAL and view.read == "value" and by != 1:
        raise NotExactError(f"{family.name} is an exponential histogram: its boundaries cannot be converted exactly")
    return by


def _row(view: View, family: Family, series: Series, by: Fraction, naming: Naming) -> Iterator[Row]:
    attributes = dict(series.attributes)
    if not all(attributes.get(key, "") in values for key, values in wanted(view.where)):
        return
    value, exemplars = _read(view, series)
    if view.read == "sum" and isinstance(value, float) and math.isnan(value):
        return  # the source records no sum
    if by != 1:
        value = _scaled(view, value, by)
        exemplars = tuple(replace(one, value=scaled(one.value, by)) for one in exemplars)
    yield Row(_labels(view.labels, series.attributes, family.kind, naming), value, series.start_ns, exemplars)


def wanted(where: Mapping[str, str | list[str]]) -> Iterator[tuple[str, Sequence[str]]]:
    """Each attribute with the values that a `where` asks for."""
    for key, value in where.items():
        yield key, (value,) if isinstance(value, str) else value


def _read(view: View, series: Series) -> tuple[Value, tuple[Exemplar, ...]]:
    value = series.value
    if view.read == "value":
        return value, series.exemplars
    if isinstance(value, int | float):
        raise NotExactError(f"read: {view.read} needs a histogram or summary")
    exemplars = newest_one(exemplars_of(value))
    return (value.count if view.read == "count" else value.sum), exemplars


def _scaled(view: View, value: Value, by: Fraction) -> Value:
    if isinstance(value, HistogramValue):
        bounds = tuple(float(scaled(bound, by)) for bound in value.bounds)
        if any(a >= b for a, b in pairwise(bounds)):
            raise NotExactError(f"in {view.unit} some boundaries of {view.metric} become the same")
        exemplars = tuple(replace(one, value=scaled(one.value, by)) for one in value.exemplars)
        return replace(value, bounds=bounds, sum=float(scaled(value.sum, by)), exemplars=exemplars)
    if isinstance(value, SummaryValue):
        return replace(value, sum=float(scaled(value.sum, by)))
    if isinstance(value, ExponentialValue):
        raise NotExactError(f"{view.metric} is an exponential histogram: its boundaries cannot be converted exactly")
    return scaled(value, by)


def _labels(labels: Mapping[str, str | Label] | None, attributes: Attributes, kind: Kind, naming: Naming) -> Attributes:
    """The view's labels; without a list, all attributes as the canonical name has them, less the scope."""
    if labels is None:
        return names.labels(attributes, kind, naming)
    values = dict(attributes)
    found = ((name, _label(source, values)) for name, source in labels.items())
    return tuple(sorted((name, value) for name, value in found if value))


def _label(source: str | Label, attributes: Mapping[str, str]) -> str:
    if isinstance(source, str):
        return attributes.get(source, "")
    if source.value is not None:
        return source.value
    value = attributes.get(source.attribute or "", "")
    if source.as_ == "class":
        value = status_class(value)
    return source.map.get(value, value) or source.default or ""


def status_class(code: str) -> str:
    """`2xx` of `204`; what is no three-digit code stays as it is."""
    return f"{code[0]}xx" if len(code) == 3 and code.isascii() and code.isdigit() else code


def _merge(view: View, kind: Kind, rule: Rule, labels: Attributes, rows: list[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    if kind not in LEVELS:
        return add_rows(labels, rows)
    if rule not in REGROUPABLE:
        raise NotExactError(
            f"{len(rows)} series of {view.metric} would become one, but workers are merged by '{rule}', which says "
            f"nothing across labels: keep the labels that tell them apart, or declare `merge: {{{view.metric}: sum}}` "
            "(or min, max)"
        )
    values = [(0, row.value) for row in rows if isinstance(row.value, int | float)]
    return Row(labels, combine(rule, values), min(row.start_ns for row in rows))
