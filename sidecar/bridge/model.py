"""What the bridge hands out: merged metrics as frozen data, so that formats, views, SLOs and pages share one shape."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

#: Sorted (key, value) pairs with OpenTelemetry keys; values are text (see `decode.text_of`).
Attributes: TypeAlias = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    """What a metric is, in OpenTelemetry's terms (monotonic sums are counters)."""

    COUNTER = "counter"
    UPDOWN = "updown"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    EXPONENTIAL = "exponential"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One measurement that shows where a number came from.

    Attributes:
        value: the measured value, in the metric's unit.
        timestamp_ns: when it was measured, nanoseconds since the epoch.
        trace_id: 32 hex digits, or empty.
        span_id: 16 hex digits, or empty.
        attributes: what the metric's own attributes left out.
    """

    value: float
    timestamp_ns: int
    trace_id: str = ""
    span_id: str = ""
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True)
class HistogramValue:
    """An explicit-bucket histogram.

    Attributes:
        bounds: upper bounds, increasing, without the last +Inf.
        counts: per bucket, not cumulative; one more than `bounds`.
        sum: of all values; NaN when the source does not record one.
        count: of all values.
        exemplars: at most one per bucket, the newest.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float
    count: int
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class ExponentialValue:
    """A base-2 exponential histogram; bucket i of a side holds base^(offset+i) < |v| <= base^(offset+i+1).

    Attributes:
        scale: base = 2 ** (2 ** -scale).
        zero_count: values with |v| <= zero_threshold.
        zero_threshold: see above.
        offset: index of the first positive bucket.
        counts: positive buckets, not cumulative.
        negative_offset: index of the first negative bucket.
        negative_counts: negative buckets, by absolute value.
        sum: of all values; NaN when the source does not record one.
        count: of all values.
        exemplars: the newest ones, at most one per rendered bucket.
    """

    scale: int
    zero_count: int
    zero_threshold: float
    offset: int
    counts: tuple[int, ...]
    negative_offset: int
    negative_counts: tuple[int, ...]
    sum: float
    count: int
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class SummaryValue:
    """A summary without its quantiles, which cannot be merged."""

    sum: float
    count: int


Value: TypeAlias = int | float | HistogramValue | ExponentialValue | SummaryValue


@dataclass(frozen=True, slots=True)
class Series:
    """One merged series of the pod.

    Attributes:
        attributes: sorted, OpenTelemetry keys.
        value: a number, or the value class of the family's kind.
        start_ns: since when it counts, nanoseconds since the epoch; 0 when unknown.
        exemplars: of a number; a histogram's are in its value.
    """

    attributes: Attributes
    value: Value
    start_ns: int = 0
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """All series of one metric.

    Attributes:
        name: OpenTelemetry name, e.g. `ml.predictions`.
        kind: what it is.
        unit: UCUM, e.g. `s`; empty when it has none.
        description: one sentence.
        series: sorted by attributes.
        scope: name and version of the instrumentation scope.
        scope_attributes: of the instrumentation scope.
        schema_url: of the instrumentation scope.
    """

    name: str
    kind: Kind
    unit: str = ""
    description: str = ""
    series: tuple[Series, ...] = ()
    scope: tuple[str, str] = ("", "")
    scope_attributes: Attributes = ()
    schema_url: str = ""
