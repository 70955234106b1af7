"""Prometheus' protobuf exposition, the only one with native histograms: length-delimited MetricFamily messages.

Written by hand: nobody publishes these messages for Python, and making them from descriptors at run time costs more
lines than the dozen fields used here. Source of the numbers: prometheus/client_model,
io/prometheus/client/metrics.proto. Proto2: a field that is left out is not the same as 0, so values are written always.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from sidecar.bridge.exemplars import exemplar_labels
from sidecar.bridge.model import Attributes, Exemplar, ExponentialValue, HistogramValue, SummaryValue
from sidecar.bridge.native import Native, native
from sidecar.bridge.prom import Metric, Row, Type
from sidecar.bridge.text import buckets

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

#: MetricType. The format has no info metrics: "a Prometheus Gauge with an additional `_info` name suffix MUST be
#: produced" (compat spec 1.60, "Differences between Prometheus formats").
_TYPES = {Type.COUNTER: 0, Type.GAUGE: 1, Type.SUMMARY: 2, Type.HISTOGRAM: 4, Type.INFO: 1}
#: The member of Metric that holds the value.
_VALUES = {Type.GAUGE: 2, Type.INFO: 2, Type.COUNTER: 3, Type.SUMMARY: 4, Type.HISTOGRAM: 7}
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_SHORT = tuple(bytes((value,)) for value in range(0x80))


def render(metrics: Iterable[Metric]) -> bytes:
    """All metrics, in the order given."""
    parts: list[bytes] = []
    for metric in metrics:
        family = _family(metric)
        parts += (_varint(len(family)), family)
    return b"".join(parts)


def _family(metric: Metric) -> bytes:
    return b"".join(
        (
            _text(1, metric.name),
            _text(2, metric.help),
            _number(3, _TYPES[metric.type]),
            *(_message(4, _metric(metric, row)) for row in metric.rows),
            *((_text(5, metric.unit),) if _ends_in_unit(metric) else ()),
        )
    )


def _ends_in_unit(metric: Metric) -> bool:
    """Prometheus refuses a whole scrape for a unit that the name does not end in."""
    name = metric.name.removesuffix("_total") if metric.type is Type.COUNTER else metric.name
    return bool(metric.unit) and metric.type is not Type.INFO and name.endswith(f"_{metric.unit}")


def _metric(metric: Metric, row: Row) -> bytes:
    value = row.value
    if metric.type is Type.COUNTER and isinstance(value, int | float):
        held = _double(1, value)
        if row.exemplars:
            held += _message(2, _exemplar(row.exemplars[-1]))
        held += _time(3, row.start_ns)
    elif metric.type in (Type.GAUGE, Type.INFO) and isinstance(value, int | float):
        held = _double(1, value)
    elif metric.type is Type.SUMMARY and isinstance(value, SummaryValue):
        held = _number(1, value.count) + _double(2, value.sum) + _time(4, row.start_ns)
    elif metric.type is Type.HISTOGRAM and isinstance(value, HistogramValue):
        held = b"".join(_histogram(row, value))
    else:
        raise TypeError(f"{metric.name}: a {metric.type} with a {type(value).__name__}")
    return _labels(row.labels) + _message(_VALUES[metric.type], held)


def _histogram(row: Row, value: HistogramValue) -> Iterator[bytes]:
    yield _number(1, value.count)
    yield _double(2, value.sum)  # NaN where the source records none: the format cannot leave it out
    in_bucket = {bisect_left(value.bounds, exemplar.value): exemplar for exemplar in value.exemplars}
    for place, (upper, count) in enumerate(buckets(value)):
        bucket = _number(1, count) + _double(2, upper)
        if place in in_bucket:
            bucket += _message(3, _exemplar(in_bucket[place]))
        yield _message(3, bucket)
    made = native(row.native) if row.native is not None else None
    if made is not None and row.native is not None:
        yield from _native(made, row.native)
    yield _time(15, row.start_ns)


def _native(made: Native, value: ExponentialValue) -> Iterator[bytes]:
    """Beside the classic buckets: a scraper takes the native ones if it was told to, and ignores them else."""
    yield _number(5, _zigzag(made.schema))
    yield _double(6, made.zero_threshold)
    yield _number(7, value.zero_count)
    for spans, deltas, side in ((9, 10, made.negative), (12, 13, made.positive)):
        for offset, length in side.spans:
            yield _message(spans, _number(1, _zigzag(offset)) + _number(2, length))
        if side.deltas:
            yield _message(deltas, b"".join(_varint(_zigzag(delta)) for delta in side.deltas))
    for exemplar in value.exemplars:
        if exemplar.timestamp_ns:  # Prometheus takes no others at native histograms
            yield _message(16, _exemplar(exemplar))


def _labels(labels: Attributes) -> bytes:
    return b"".join(_message(1, _text(1, name) + _text(2, value)) for name, value in labels)


def _exemplar(exemplar: Exemplar) -> bytes:
    return _labels(exemplar_labels(exemplar)) + _double(2, exemplar.value) + _time(3, exemplar.timestamp_ns)


def _time(field: int, nanoseconds: int) -> bytes:
    """A google.protobuf.Timestamp; nothing for an unknown time."""
    if not nanoseconds:
        return b""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return _message(field, _number(1, seconds) + _number(2, rest))


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode("utf-8", "replace"))


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(body)) + body


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | _FIXED64) + struct.pack("<d", value)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _SHORT[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
