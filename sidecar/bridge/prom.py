"""What is about to be rendered, in Prometheus' own terms: the meeting point of names, views and formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce

from sidecar.bridge.exemplars import newest_one
from sidecar.bridge.model import Attributes, Exemplar, Kind, Value
from sidecar.bridge.values import add


class Type(StrEnum):
    """Prometheus' metric types, in the words of OpenMetrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"
    INFO = "info"


#: Compat spec 1.60, "Gauges", "Sums", "Histograms", "Exponential Histograms", "Summaries".
TYPES = {
    Kind.COUNTER: Type.COUNTER,
    Kind.UPDOWN: Type.GAUGE,
    Kind.GAUGE: Type.GAUGE,
    Kind.HISTOGRAM: Type.HISTOGRAM,
    Kind.EXPONENTIAL: Type.HISTOGRAM,
    Kind.SUMMARY: Type.SUMMARY,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One series.

    Attributes:
        labels: sorted, valid, no empty values.
        value: a number, or a histogram or summary.
        start_ns: since when it counts; 0 when unknown.
        exemplars: of a counter; a histogram's are in its value.
    """

    labels: Attributes
    value: Value
    start_ns: int = 0
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """All series of one name.

    Attributes:
        name: as PromQL sees it; a counter's with `_total`.
        type: its type.
        help: one line, may be empty.
        unit: a word such as `seconds`, or empty.
        rows: sorted by labels; no two have the same.
    """

    name: str
    type: Type
    help: str
    unit: str
    rows: tuple[Row, ...]

    def samples(self) -> frozenset[str]:
        """The names of its samples in the classic text format: what no other metric may use."""
        match self.type:
            case Type.HISTOGRAM:
                return frozenset(f"{self.name}{end}" for end in ("", "_bucket", "_sum", "_count"))
            case Type.SUMMARY:
                return frozenset(f"{self.name}{end}" for end in ("", "_sum", "_count"))
            case _:
                return frozenset((self.name,))


def add_rows(labels: Attributes, rows: Sequence[Row]) -> Row:
    """Several rows of counts as one."""
    value: Value = reduce(add, (row.value for row in rows))
    starts = [row.start_ns for row in rows if row.start_ns]
    exemplars = newest_one(exemplar for row in rows for exemplar in row.exemplars)
    return Row(labels, value, min(starts, default=0), exemplars)
