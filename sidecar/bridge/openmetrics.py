"""OpenMetrics 1.0 text: what the classic format lacks (exemplars, creation times, units)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from sidecar.bridge.model import Exemplar, HistogramValue, SummaryValue
from sidecar.bridge.names import label_name
from sidecar.bridge.numbers import bound, number, seconds
from sidecar.bridge.prom import Metric, Row, Type
from sidecar.bridge.text import _LABEL_ESCAPES, buckets, label_block, shows_sum

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: OpenMetrics 1.0, "Exemplars": "The combined length of the label names and values … MUST NOT exceed 128 characters."
EXEMPLAR_CHARACTERS = 128


def render(metrics: Iterable[Metric]) -> bytes:
    """All metrics, in the order given, which is by name."""
    lines: list[str] = []
    taken: set[str] = set()
    for metric in metrics:
        lines.extend(_metric(metric, taken))
    lines.append("# EOF\n")
    return "".join(lines).encode("utf-8", "replace")


def _metric(metric: Metric, taken: set[str]) -> Iterator[str]:
    family, kind = _family(metric, taken)
    taken.update((family, metric.name))
    yield f"# TYPE {family} {kind}\n"
    if metric.unit and kind != Type.INFO and family.endswith(f"_{metric.unit}"):
        yield f"# UNIT {family} {metric.unit}\n"
    if metric.help:
        # OpenMetrics escapes quotes in HELP as well ("Escaping").
        yield f"# HELP {family} {metric.help.translate(_LABEL_ESCAPES)}\n"
    for row in metric.rows:
        yield from _row(metric, row, counts=kind == Type.COUNTER, family=family)


def _family(metric: Metric, taken: set[str]) -> tuple[str, str]:
    """The name and type of the family.

    A counter's samples must end in `_total` and its family's name is what is before. A team's old counter without
    that ending, or one whose family name another metric has, keeps its name by being of unknown type.
    """
    if metric.type is Type.INFO:
        return metric.name.removesuffix("_info"), metric.type
    if metric.type is not Type.COUNTER:
        return metric.name, metric.type
    family = metric.name.removesuffix("_total")
    if family in (metric.name, "") or family in taken or f"{family}_created" in taken:
        return metric.name, "unknown"
    return family, metric.type


def _row(metric: Metric, row: Row, *, counts: bool, family: str) -> Iterator[str]:
    value, labels = row.value, label_block(row.labels)
    if isinstance(value, int | float):
        exemplar = _exemplar(row.exemplars[-1]) if counts and row.exemplars else ""
        yield f"{metric.name}{labels} {number(value)}{exemplar}\n"
        if not counts:
            return
    elif isinstance(value, HistogramValue):
        yield from _histogram(family, row, value)
    elif isinstance(value, SummaryValue):
        yield f"{family}_count{labels} {value.count}\n"
        yield f"{family}_sum{labels} {number(value.sum)}\n"
    else:
        raise TypeError(f"{metric.name}: OpenMetrics text has no {type(value).__name__}")
    if row.start_ns:
        yield f"{family}_created{labels} {seconds(row.start_ns)}\n"


def _histogram(family: str, row: Row, value: HistogramValue) -> Iterator[str]:
    in_bucket = {bisect_left(value.bounds, exemplar.value): exemplar for exemplar in value.exemplars}
    for place, (upper, count) in enumerate(buckets(value)):
        le = f'le="{bound(upper)}"'
        exemplar = _exemplar(in_bucket[place]) if place in in_bucket else ""
        yield f"{family}_bucket{label_block(row.labels, le)} {count}{exemplar}\n"
    # "Text format, Histogram": a `_count` if and only if there is a `_sum`.
    if shows_sum(row):
        labels = label_block(row.labels)
        yield f"{family}_count{labels} {value.count}\n"
        yield f"{family}_sum{labels} {number(value.sum)}\n"


def _exemplar(exemplar: Exemplar) -> str:
    """Compat spec 1.60, "Exemplar Conversion": trace and span first; other attributes while there is room."""
    pairs = [(key, value) for key, value in (("trace_id", exemplar.trace_id), ("span_id", exemplar.span_id)) if value]
    room = EXEMPLAR_CHARACTERS - sum(len(key) + len(value) for key, value in pairs)
    names = {key for key, _ in pairs}
    for key, value in exemplar.attributes:
        name = label_name(key)
        length = len(name) + len(value)
        if name not in names and length <= room:
            names.add(name)
            pairs.append((name, value))
            room -= length
    labels = label_block(tuple(pairs)) or "{}"
    at = f" {seconds(exemplar.timestamp_ns)}" if exemplar.timestamp_ns else ""
    return f" # {labels} {number(exemplar.value)}{at}"
