"""What a scrape shows: canonical names beside the views, and never two truths under one name."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from sidecar.bridge import exponential, names
from sidecar.bridge.model import Attributes, ExponentialValue, Family, Kind
from sidecar.bridge.names import Naming
from sidecar.bridge.points import Problem
from sidecar.bridge.prom import TYPES, Metric, Row, Type, add_rows
from sidecar.bridge.rules import Rule
from sidecar.bridge.views import NotExactError, apply
from sidecar.contract.model import View

TARGET = "target_info"
#: What values raise that do not fit their kind or format.
_DEFIANT = (ArithmeticError, TypeError, ValueError, struct.error)
#: HELP of a metric whose source says nothing: promtool asks for one.
UNDESCRIBED = "Its source gives no description."


def exposition(
    families: Sequence[Family],
    views: Sequence[View],
    resource: Attributes,
    own: Sequence[Family],
    rule_of: Callable[[Family], Rule],
    *,
    naming: Naming = names.PLAIN,
) -> tuple[tuple[Metric, ...], tuple[Problem, ...]]:
    """Everything to show, sorted by name, and what had to be left out with the reason.

    Of two metrics that claim one name the earlier in this order keeps it: the sidecar's own, `target_info`, the
    contract's views, the services' metrics as they were first seen.
    """
    problems: list[Problem] = []
    shown: dict[str, Metric] = {}
    first = (
        *_canonical(own, problems, naming),
        *target_info(resource, naming),
        *_views(views, families, rule_of, problems, naming),
    )
    for metric in first:
        _add(shown, metric, problems)
    # A view that gives a metric's canonical name other labels stands for it; showing both would count twice.
    fixed = frozenset(shown)
    replaced = {(view.metric, view.name) for view in views if view.name in shown}
    for family, metric in zip(families, _canonical(families, problems, naming), strict=True):
        if metric.name not in fixed and metric.name in shown and shown[metric.name].type is metric.type:
            shown[metric.name] = _joined(shown[metric.name], metric, problems)
        elif (family.name, metric.name) not in replaced:
            _add(shown, metric, problems)
    found = (shown[name] for name in sorted(shown) if shown[name].rows)
    return tuple(replace(one, help=one.help or UNDESCRIBED) for one in found), tuple(problems)


def only(metrics: Iterable[Metric], wanted: Collection[str]) -> tuple[Metric, ...]:
    """The metrics that a `name[]` query asks for, whole; by their name or that of any of their samples."""
    asked = frozenset(wanted)
    return tuple(metric for metric in metrics if not asked.isdisjoint(metric.names()))


def rendered(
    metrics: Sequence[Metric], render: Callable[[Sequence[Metric]], bytes]
) -> tuple[bytes, tuple[Problem, ...]]:
    """The reply's body; a metric that cannot be rendered costs itself alone (issue 4, point 8)."""
    try:
        return render(metrics), ()
    except _DEFIANT:
        problems: list[Problem] = []
        fine = [metric for metric in metrics if _renders(metric, render, problems)]
        return render(fine), tuple(problems)


def _renders(metric: Metric, render: Callable[[Sequence[Metric]], bytes], problems: list[Problem]) -> bool:
    try:
        render([metric])
    except _DEFIANT as error:
        problems.append(Problem("unrenderable", metric.name, f"{type(error).__name__}: {error}"))
        return False
    return True


def canonical(family: Family, naming: Naming = names.PLAIN) -> Metric:
    """A family under the name the spec gives it."""
    scope = names.scope_labels(family)
    rows = (
        Row(
            names.labels((*series.attributes, *scope), family.kind, naming),
            series.value,
            series.start_ns,
            series.exemplars,
        )
        for series in family.series
    )
    return Metric(
        name=names.metric_name(family.name, family.kind, family.unit, naming),
        type=TYPES[family.kind],
        help=family.description,
        unit=names.unit_word(family.unit, family.kind),
        rows=tuple(sorted(rows, key=lambda row: row.labels)),
    )


def target_info(resource: Attributes, naming: Naming = names.PLAIN) -> tuple[Metric, ...]:
    """The resource as one info metric (compat spec 1.60, "Resource Attributes"); none for an empty resource."""
    labels = names.labels(resource, Kind.GAUGE, naming)
    return (Metric(TARGET, Type.INFO, "Target metadata", "", (Row(labels, 1),)),) if labels else ()


def _canonical(families: Iterable[Family], problems: list[Problem], naming: Naming) -> Iterator[Metric]:
    for family in families:
        try:
            metric = _classic(canonical(family, naming))
            yield replace(metric, rows=_distinct(metric.name, metric.type, metric.rows, problems))
        except _DEFIANT as error:
            # One metric that defies rendering costs itself alone (issue 4, point 8).
            problems.append(Problem("unrenderable", family.name, f"{type(error).__name__}: {error}"))
            name = names.metric_name(family.name, family.kind, family.unit, naming)
            yield Metric(name, TYPES[family.kind], "", "", ())


def _views(
    views: Sequence[View],
    families: Sequence[Family],
    rule_of: Callable[[Family], Rule],
    problems: list[Problem],
    naming: Naming,
) -> Iterator[Metric]:
    for view in views:
        found = [family for family in families if family.name == view.metric]
        if not found:
            continue
        try:
            yield _classic(apply(view, found, rule_of, naming))
        except (NotExactError, ArithmeticError, TypeError) as error:
            problems.append(Problem("view_not_exact", view.name, str(error)))


def _add(shown: dict[str, Metric], metric: Metric, problems: list[Problem]) -> None:
    if metric.type is Type.COUNTER and metric.name == "_total":
        what = "nothing of its name is left before _total: give it one of letters and digits"
        problems.append(Problem("empty_name", metric.name, what, len(metric.rows)))
        return
    samples = metric.samples()
    clash = next((held for held in shown.values() if not samples.isdisjoint(held.samples())), None)
    if clash is None:
        shown[metric.name] = metric
        return
    # Compat spec 1.60, "Metric Metadata": "MUST drop entire metrics to prevent conflicting TYPE comments".
    what = f"{metric.type} {metric.name} left out beside {clash.type} {clash.name}: they would share sample names"
    problems.append(Problem("name_conflict", metric.name, what, len(metric.rows)))


def _classic(metric: Metric) -> Metric:
    """With explicit buckets beside exponential ones: text formats have no others, and not every scraper takes both."""
    values = [row.value for row in metric.rows if isinstance(row.value, ExponentialValue)]
    if not values:
        return metric
    made = iter(exponential.classic(values))
    rows = (
        replace(row, value=next(made), native=row.value) if isinstance(row.value, ExponentialValue) else row
        for row in metric.rows
    )
    return replace(metric, rows=tuple(rows))


def _joined(held: Metric, more: Metric, problems: list[Problem]) -> Metric:
    """One metric of two that share name and type, e.g. of two scopes; the first's HELP and UNIT stay.

    Compat spec 1.60, "Metric Metadata": "all but one of the conflicting UNIT and HELP comments SHOULD be dropped". No
    description contradicts none.
    """
    held = replace(held, help=held.help or more.help)
    if (more.help and more.help != held.help) or more.unit != held.unit:
        what = f"two descriptions or units; shown: {held.help!r} {held.unit!r}, left out: {more.help!r} {more.unit!r}"
        problems.append(Problem("comment_conflict", held.name, what, 0))
    rows = sorted((*held.rows, *more.rows), key=lambda row: row.labels)
    return replace(held, rows=_distinct(held.name, held.type, rows, problems))


def _distinct(name: str, kind: Type, rows: Iterable[Row], problems: list[Problem]) -> tuple[Row, ...]:
    """Rows whose labels became equal, as one: counts add up, of other values the first stays."""
    grouped: dict[Attributes, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.labels, []).append(row)
    out: list[Row] = []
    for labels, group in grouped.items():
        if len(group) == 1:
            out.append(group[0])
        elif kind in (Type.COUNTER, Type.HISTOGRAM, Type.SUMMARY):
            out.append(add_rows(labels, group))
        else:
            what = f"{len(group)} series have the labels {dict(labels)}; the first is shown"
            problems.append(Problem("same_labels", name, what, len(group) - 1))
            out.append(group[0])
    return tuple(out)
