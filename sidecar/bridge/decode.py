"""The only file that knows OTLP's protobuf: bytes in, points out, so that a faster decoder replaces one file."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from sidecar.bridge import exponential
from sidecar.bridge.model import Attributes, Exemplar, ExponentialValue, HistogramValue, Kind, SummaryValue, Value
from sidecar.bridge.points import Decoded, Descriptor, Export, MetricPoints, Point, Problem, Scope

# No real SDK goes past scale 20; the formulas for bucket boundaries stay finite well beyond these.
MAX_SCALE = 40
MIN_SCALE = -20
#: Distinct problems of one request that are told apart, and the characters of each.
MAX_PROBLEMS = 100
MAX_DETAIL = 500
#: Of one point; a bucket shows one, and SDKs keep one for each or a few in all.
MAX_EXEMPLARS = 1_000


class InvalidExportError(ValueError):
    """The body is no serialized ExportMetricsServiceRequest."""


class _BadPointError(ValueError):
    """One point that cannot be used; the rest of the request can."""


def decode(body: bytes) -> Decoded:
    """Decodes a request; unusable metrics and points become problems, the others stay.

    Raises:
        InvalidExportError: the body as a whole is not decodable.
    """
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        raise InvalidExportError(f"no ExportMetricsServiceRequest in {len(body)} bytes: {error}") from error
    problems = _Problems()
    exports = [
        Export(
            _attributes(group.resource.attributes),
            tuple(
                metric
                for scoped in group.scope_metrics
                for metric in _metrics(_scope(scoped.scope, scoped.schema_url), scoped.metrics, problems)
            ),
        )
        for group in request.resource_metrics
    ]
    return Decoded(tuple(exports), problems.found())


class _Problems:
    """What is unusable, counted by reason and metric: two bytes make a bad point, an object each would cost more."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[str, int]] = {}

    def add(self, reason: str, metric: str, detail: str, points: int) -> None:
        """Counts points; the first detail of a metric stays. Of too many metrics the names are left out."""
        if len(self._found) >= MAX_PROBLEMS and (reason, metric) not in self._found:
            metric, detail = "", f"in more than {MAX_PROBLEMS} metrics, lastly {detail}"
        first, count = self._found.get((reason, metric), (detail, 0))
        self._found[reason, metric] = (first, count + points)

    def found(self) -> tuple[Problem, ...]:
        """One for each reason and metric, in the order in which they were met."""
        return tuple(Problem(*key, detail[:MAX_DETAIL], count) for key, (detail, count) in self._found.items())


def text_of(value: AnyValue) -> str:
    """An attribute's value as text (OTel spec, common, "AnyValue representation for non-OTLP protocols")."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case None:
            return ""
        case _:
            plain = _plain(value)
            return plain if isinstance(plain, str) else _json(plain)


def _plain(value: AnyValue) -> object:
    which = value.WhichOneof("value")
    if which is None:
        return None
    held = getattr(value, which)
    return _PLAIN[which](held) if which in _PLAIN else held


def _plain_double(value: float) -> object:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


_PLAIN: Mapping[str, Callable[[Any], object]] = {
    "double_value": _plain_double,
    "bytes_value": lambda value: base64.b64encode(value).decode(),
    "array_value": lambda value: [_plain(item) for item in value.values],
    "kvlist_value": lambda value: {item.key: _plain(item.value) for item in value.values},
}


def _json(plain: object) -> str:
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False)


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return tuple(sorted({pair.key: text_of(pair.value) for pair in pairs if pair.key}.items()))


def _scope(scope: InstrumentationScope, schema_url: str) -> Scope:
    return Scope(scope.name, scope.version, schema_url, _attributes(scope.attributes))


def _metrics(scope: Scope, metrics: Iterable[pb.Metric], problems: _Problems) -> Iterator[MetricPoints]:
    for metric in metrics:
        which = metric.WhichOneof("data")
        if which is None:
            continue  # no points, so nothing is lost
        data = getattr(metric, which)
        if not metric.name:
            problems.add("no_name", "", "a metric without a name", len(data.data_points))
            continue
        temporality = getattr(data, "aggregation_temporality", pb.AGGREGATION_TEMPORALITY_CUMULATIVE)
        if temporality == pb.AGGREGATION_TEMPORALITY_UNSPECIFIED:
            problems.add("no_temporality", metric.name, "neither cumulative nor delta", len(data.data_points))
            continue
        kind = _kind(which, data)
        points: list[Point] = []
        bad, first = 0, ""
        for point in data.data_points:
            try:
                points.append(_point(kind, point))
            except _BadPointError as error:
                bad += 1
                first = first or str(error)
        if bad:
            problems.add("malformed", metric.name, first, bad)
        yield MetricPoints(
            Descriptor(scope, metric.name, kind, metric.unit),
            metric.description,
            temporality == pb.AGGREGATION_TEMPORALITY_DELTA,
            tuple(points),
        )


def _kind(which: str, data: object) -> Kind:
    match which:
        case "gauge":
            return Kind.GAUGE
        case "sum":
            return Kind.COUNTER if getattr(data, "is_monotonic", False) else Kind.UPDOWN
        case "histogram":
            return Kind.HISTOGRAM
        case "exponential_histogram":
            return Kind.EXPONENTIAL
        case _:
            return Kind.SUMMARY


def _point(
    kind: Kind,
    point: pb.NumberDataPoint | pb.HistogramDataPoint | pb.ExponentialHistogramDataPoint | pb.SummaryDataPoint,
) -> Point:
    value: Value | None
    exemplars: tuple[Exemplar, ...] = ()
    if point.flags & pb.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
        value = None
    elif isinstance(point, pb.NumberDataPoint):
        value, exemplars = _number(kind, point), _exemplars(point.exemplars)
    elif isinstance(point, pb.HistogramDataPoint):
        value = _histogram(point)
    elif isinstance(point, pb.ExponentialHistogramDataPoint):
        value = _exponential(point)
    else:
        value = SummaryValue(point.sum, point.count)
    # The value first: of a bad point nothing more is looked at.
    return Point(_attributes(point.attributes), point.start_time_unix_nano, point.time_unix_nano, value, exemplars)


def _number(kind: Kind, point: pb.NumberDataPoint) -> int | float:
    which = point.WhichOneof("value")
    if which is None:
        raise _BadPointError("a number point without a value")
    value = point.as_int if which == "as_int" else point.as_double
    if kind is Kind.COUNTER and not (value >= 0 and math.isfinite(value)):
        raise _BadPointError(f"a monotonic sum of {value}")
    if kind is Kind.UPDOWN and not math.isfinite(value):
        raise _BadPointError(f"a sum of {value}")
    return value


def _histogram(point: pb.HistogramDataPoint) -> HistogramValue:
    bounds = tuple(point.explicit_bounds)
    counts = tuple(point.bucket_counts)
    if not counts and not bounds:
        counts = (point.count,)  # OTLP lets a histogram carry sum and count alone
    if bounds and math.isinf(bounds[-1]) and bounds[-1] > 0 and len(counts) == len(bounds) + 1:
        # Some senders spell the last bound out; the bucket above +Inf is empty by definition.
        bounds, counts = bounds[:-1], (*counts[:-2], counts[-2] + counts[-1])
    if len(counts) != len(bounds) + 1:
        raise _BadPointError(f"a histogram of {len(bounds)} bounds and {len(counts)} buckets")
    if not all(a < b for a, b in pairwise(bounds)) or any(map(math.isnan, bounds)):
        raise _BadPointError(f"bounds that do not increase: {bounds}")
    if sum(counts) != point.count:
        raise _BadPointError(f"buckets that hold {sum(counts)} of {point.count} values")
    total = point.sum if point.HasField("sum") else math.nan
    return HistogramValue(bounds, counts, total, point.count, _exemplars(point.exemplars))


def _exponential(point: pb.ExponentialHistogramDataPoint) -> ExponentialValue:
    if not MIN_SCALE <= point.scale <= MAX_SCALE:
        raise _BadPointError(f"an exponential histogram of scale {point.scale}")
    if not (point.zero_threshold >= 0 and math.isfinite(point.zero_threshold)):
        raise _BadPointError(f"a zero threshold of {point.zero_threshold}")
    counts, negative = tuple(point.positive.bucket_counts), tuple(point.negative.bucket_counts)
    held = sum(counts) + sum(negative) + point.zero_count
    if held != point.count:
        raise _BadPointError(f"buckets that hold {held} of {point.count} values")
    return exponential.normal(
        ExponentialValue(
            scale=point.scale,
            zero_count=point.zero_count,
            zero_threshold=point.zero_threshold,
            offset=point.positive.offset,
            counts=counts,
            negative_offset=point.negative.offset,
            negative_counts=negative,
            sum=point.sum if point.HasField("sum") else math.nan,
            count=point.count,
            exemplars=_exemplars(point.exemplars),
        )
    )


def _exemplars(exemplars: Sequence[pb.Exemplar]) -> tuple[Exemplar, ...]:
    return tuple(
        Exemplar(
            value=exemplar.as_int if exemplar.WhichOneof("value") == "as_int" else exemplar.as_double,
            timestamp_ns=exemplar.time_unix_nano,
            trace_id=_id(exemplar.trace_id, 16),
            span_id=_id(exemplar.span_id, 8),
            attributes=_attributes(exemplar.filtered_attributes),
        )
        for exemplar in exemplars[-MAX_EXEMPLARS:]
    )


def _id(sent: bytes, length: int) -> str:
    """OTLP, `Exemplar`: ids have 16 and 8 bytes; one of all zeros or of another length names nothing."""
    return sent.hex() if len(sent) == length and any(sent) else ""
