"""OpenMetrics 1.0 text: what the classic format lacks (exemplars, creation times, units)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from sidecar.bridge.exemplars import exemplar_labels
from sidecar.bridge.model import Exemplar, HistogramValue, SummaryValue
from sidecar.bridge.numbers import bound, number, seconds
from sidecar.bridge.prom import Metric, Row, Type
from sidecar.bridge.text import _LABEL_ESCAPES, buckets, inside, sample, shown_name

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def render(metrics: Iterable[Metric]) -> bytes:
    """All metrics, in the order given, which is by name."""
    lines: list[str] = []
    taken: set[str] = set()
    for metric in metrics:
        family, kind = _family(metric, taken)
        taken.update((family, *metric.samples()))
        lines.extend(_comments(metric, family, kind))
        counts = kind == Type.COUNTER
        created = counts or kind in (Type.HISTOGRAM, Type.SUMMARY)
        for row in metric.rows:
            lines.extend(_row(metric, row, family, exemplars=counts))
            if created and row.start_ns:
                lines.append(f"{sample(f'{family}_created', inside(row.labels))} {seconds(row.start_ns)}\n")
    lines.append("# EOF\n")
    return "".join(lines).encode("utf-8", "replace")


def _comments(metric: Metric, family: str, kind: str) -> Iterator[str]:
    name = shown_name(family)
    yield f"# TYPE {name} {kind}\n"
    if metric.unit and kind != Type.INFO and family.endswith(f"_{metric.unit}"):
        yield f"# UNIT {name} {metric.unit}\n"
    if metric.help:
        # OpenMetrics escapes quotes in HELP as well ("Escaping").
        yield f"# HELP {name} {metric.help.translate(_LABEL_ESCAPES)}\n"


def _family(metric: Metric, taken: set[str]) -> tuple[str, str]:
    """The name and type of the family.

    A counter's samples must end in `_total` and its family's name is what is before. A team's old counter without
    that ending, or one whose family or `_created` name another metric has, keeps its name by being of unknown type.
    """
    if metric.type is Type.INFO:
        return metric.name.removesuffix("_info"), metric.type
    if metric.type is not Type.COUNTER:
        return metric.name, metric.type
    family = metric.name.removesuffix("_total")
    clash = family == metric.name or not taken.isdisjoint((family, f"{family}_created"))
    return (metric.name, "unknown") if clash else (family, metric.type)


def _row(metric: Metric, row: Row, family: str, *, exemplars: bool) -> Iterator[str]:
    value, labels = row.value, inside(row.labels)
    if isinstance(value, int | float):
        exemplar = _exemplar(row.exemplars[-1]) if exemplars and row.exemplars else ""
        yield f"{sample(metric.name, labels)} {number(value)}{exemplar}\n"
    elif isinstance(value, HistogramValue):
        yield from _histogram(family, labels, row, value)
    elif isinstance(value, SummaryValue):
        yield f"{sample(f'{family}_count', labels)} {value.count}\n"
        if row.shows_sum():
            yield f"{sample(f'{family}_sum', labels)} {number(value.sum)}\n"
    else:
        raise TypeError(f"{metric.name}: OpenMetrics text has no {type(value).__name__}")


def _histogram(family: str, labels: str, row: Row, value: HistogramValue) -> Iterator[str]:
    in_bucket = {bisect_left(value.bounds, exemplar.value): exemplar for exemplar in value.exemplars}
    for place, (upper, count) in enumerate(buckets(value)):
        le = f'le="{bound(upper)}"'
        exemplar = _exemplar(in_bucket[place]) if place in in_bucket else ""
        yield f"{sample(f'{family}_bucket', labels, le)} {count}{exemplar}\n"
    # "Text format, Histogram": a `_count` if and only if there is a `_sum`.
    if row.shows_sum():
        yield f"{sample(f'{family}_count', labels)} {value.count}\n"
        yield f"{sample(f'{family}_sum', labels)} {number(value.sum)}\n"


def _exemplar(exemplar: Exemplar) -> str:
    labels = inside(exemplar_labels(exemplar))
    at = f" {seconds(exemplar.timestamp_ns)}" if exemplar.timestamp_ns else ""
    return f" # {{{labels}}} {number(exemplar.value)}{at}"
