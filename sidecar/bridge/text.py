"""Prometheus' classic text format, version 0.0.4."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate

from sidecar.bridge.model import Attributes, HistogramValue, SummaryValue
from sidecar.bridge.numbers import bound, number
from sidecar.bridge.prom import Metric, Row, Type

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LABEL_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


def render(metrics: Iterable[Metric]) -> bytes:
    """All metrics, in the order given."""
    return "".join(line for metric in metrics for line in _metric(metric)).encode("utf-8", "replace")


def label_block(labels: Attributes, extra: str = "") -> str:
    """`{a="b",le="1.0"}`, or nothing."""
    inner = ",".join([f'{name}="{value.translate(_LABEL_ESCAPES)}"' for name, value in labels])
    if extra:
        inner = f"{inner},{extra}" if inner else extra
    return f"{{{inner}}}" if inner else ""


def buckets(value: HistogramValue) -> Iterator[tuple[float, int]]:
    """(upper bound, values up to it), +Inf last."""
    return zip((*value.bounds, math.inf), accumulate(value.counts), strict=True)


def shows_sum(row: Row) -> bool:
    """Whether a histogram has a sum to show.

    Compat spec 1.60, "Histograms": "reported only if the sum is positive and monotonic", which it is "when all buckets
    are positive"; and not when the source records none.
    """
    value = row.value
    return isinstance(value, HistogramValue) and value.sum >= 0 and not (value.bounds and value.bounds[0] < 0)


def _metric(metric: Metric) -> Iterator[str]:
    if metric.help:
        yield f"# HELP {metric.name} {metric.help.translate(_HELP_ESCAPES)}\n"
    # The format knows no info metrics: they are gauges of 1 (compat spec 1.60, "Resource Attributes").
    kind = Type.GAUGE if metric.type is Type.INFO else metric.type
    yield f"# TYPE {metric.name} {kind}\n"
    for row in metric.rows:
        yield from _row(metric.name, row)


def _row(name: str, row: Row) -> Iterator[str]:
    value = row.value
    if isinstance(value, int | float):
        yield f"{name}{label_block(row.labels)} {number(value)}\n"
        return
    if isinstance(value, HistogramValue):
        for upper, count in buckets(value):
            le = f'le="{bound(upper)}"'
            yield f"{name}_bucket{label_block(row.labels, le)} {count}\n"
        if shows_sum(row):
            yield f"{name}_sum{label_block(row.labels)} {number(value.sum)}\n"
        yield f"{name}_count{label_block(row.labels)} {value.count}\n"
    elif isinstance(value, SummaryValue):
        yield f"{name}_sum{label_block(row.labels)} {number(value.sum)}\n"
        yield f"{name}_count{label_block(row.labels)} {value.count}\n"
    else:
        raise TypeError(f"{name}: the text format has no {type(value).__name__}")
