"""What is about to be rendered, in Prometheus' own terms: the meeting point of names, views and formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce

from sidecar.bridge import exponential
from sidecar.bridge.exemplars import newest_one
from sidecar.bridge.model import Attributes, Exemplar, ExponentialValue, HistogramValue, Kind, SummaryValue, Value
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
        native: what `value` shows with explicit buckets, where it was measured with exponential ones.
    """

    labels: Attributes
    value: Value
    start_ns: int = 0
    exemplars: tuple[Exemplar, ...] = ()
    native: ExponentialValue | None = None

    def shows_sum(self) -> bool:
        """Whether a histogram or summary has a sum that text formats show.

        Compat spec 1.60, "Histograms" and "Summaries": "reported only if the sum is positive and monotonic", which a
        histogram's is "when all buckets are positive"; and not when the source records none.
        """
        value = self.value
        if isinstance(value, HistogramValue):
            return value.sum >= 0 and not (value.bounds and value.bounds[0] < 0)
        return isinstance(value, SummaryValue) and value.sum >= 0


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
        """The names of its samples in any format, `_created` and an info's family among them: no other may use them.

        A counter's family name is not: OpenMetrics has a way out there (`openmetrics._family`).
        """
        match self.type:
            case Type.HISTOGRAM:
                return frozenset(f"{self.name}{end}" for end in ("", "_bucket", "_sum", "_count", "_created"))
            case Type.SUMMARY:
                return frozenset(f"{self.name}{end}" for end in ("", "_sum", "_count", "_created"))
            case Type.INFO:
                return frozenset((self.name, self.name.removesuffix("_info")))
            case _:
                return frozenset((self.name,))

    def names(self) -> frozenset[str]:
        """Every name under which somebody may look for it: family, samples, in any format."""
        family = self.name.removesuffix("_total") if self.type is Type.COUNTER else self.name.removesuffix("_info")
        created = f"{family}_created"
        return self.samples() | {family if self.type in (Type.COUNTER, Type.INFO) else self.name, created}


def add_rows(labels: Attributes, rows: Sequence[Row]) -> Row:
    """Several rows of counts as one."""
    value: Value = reduce(add, (row.value for row in rows))
    natives = [row.native for row in rows if row.native is not None]
    # Where only some are exponential, nothing finer than what they share is true of all.
    native = reduce(exponential.add, natives) if len(natives) == len(rows) else None
    starts = [row.start_ns for row in rows if row.start_ns]
    exemplars = newest_one(exemplar for row in rows for exemplar in row.exemplars)
    return Row(labels, value, min(starts, default=0), exemplars, native)
