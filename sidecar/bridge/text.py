"""Prometheus' classic text format, version 0.0.4."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate

from sidecar.bridge.escaping import is_plain_label, is_plain_metric, quoted
from sidecar.bridge.model import Attributes, HistogramValue, SummaryValue
from sidecar.bridge.numbers import bound, number
from sidecar.bridge.prom import Metric, Row, Type

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LABEL_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


def render(metrics: Iterable[Metric]) -> bytes:
    """All metrics, in the order given."""
    return "".join(line for metric in metrics for line in _metric(metric)).encode("utf-8", "replace")


def inside(labels: Attributes) -> str:
    """`a="b",c="d"`: what stands between the braces; names beyond ASCII are in quotes."""
    return ",".join(
        [
            f'{name if is_plain_label(name) else quoted(name)}="{value.translate(_LABEL_ESCAPES)}"'
            for name, value in labels
        ]
    )


def sample(name: str, labels: str, last: str = "") -> str:
    """A sample's name and labels; a name that needs quotes stands among the labels (Prometheus' UTF-8 syntax).

    Args:
        name: of the sample.
        labels: see `inside`: the same for all samples of a series.
        last: one label more, such as `le="1.0"`.
    """
    if last:
        labels = f"{labels},{last}" if labels else last
    if is_plain_metric(name):
        return f"{name}{{{labels}}}" if labels else name
    return f"{{{quoted(name)},{labels}}}" if labels else f"{{{quoted(name)}}}"


def shown_name(name: str) -> str:
    """A family's name in a comment line."""
    return name if is_plain_metric(name) else quoted(name)


def buckets(value: HistogramValue) -> Iterator[tuple[float, int]]:
    """(upper bound, values up to it), +Inf last."""
    return zip((*value.bounds, math.inf), accumulate(value.counts), strict=True)


def _metric(metric: Metric) -> Iterator[str]:
    name = shown_name(metric.name)
    if metric.help:
        yield f"# HELP {name} {metric.help.translate(_HELP_ESCAPES)}\n"
    # The format knows no info metrics: they are gauges of 1 (compat spec 1.60, "Resource Attributes").
    kind = Type.GAUGE if metric.type is Type.INFO else metric.type
    yield f"# TYPE {name} {kind}\n"
    for row in metric.rows:
        yield from _row(metric.name, row)


def _row(name: str, row: Row) -> Iterator[str]:
    value, labels = row.value, inside(row.labels)
    if isinstance(value, int | float):
        yield f"{sample(name, labels)} {number(value)}\n"
        return
    if isinstance(value, HistogramValue):
        for upper, count in buckets(value):
            le = f'le="{bound(upper)}"'
            yield f"{sample(f'{name}_bucket', labels, le)} {count}\n"
    elif not isinstance(value, SummaryValue):
        raise TypeError(f"{name}: the text format has no {type(value).__name__}")
    if row.shows_sum():
        yield f"{sample(f'{name}_sum', labels)} {number(value.sum)}\n"
    yield f"{sample(f'{name}_count', labels)} {value.count}\n"
