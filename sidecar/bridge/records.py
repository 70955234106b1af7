"""Values and streams as plain records and back: what the state file and the tombstones are made of."""

from __future__ import annotations

from msgspec import Struct

from sidecar.bridge.model import ExponentialValue, HistogramValue, SummaryValue, Value
from sidecar.bridge.points import Point
from sidecar.bridge.streams import Cumulative, Delta, Incarnation

#: Larger integers do not fit the file; Prometheus, which counts in floats, has lost their last digits already.
_MAX_INT = 2**63 - 1


class SavedHistogram(Struct, frozen=True, array_like=True, tag="h"):
    """An explicit histogram without exemplars, which come again with the next export."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float
    count: int


class SavedExponential(Struct, frozen=True, array_like=True, tag="e"):
    """An exponential histogram without exemplars."""

    scale: int
    zero_count: int
    zero_threshold: float
    offset: int
    counts: tuple[int, ...]
    negative_offset: int
    negative_counts: tuple[int, ...]
    sum: float
    count: int


class SavedSummary(Struct, frozen=True, array_like=True, tag="s"):
    """A summary's sum and count."""

    sum: float
    count: int


SavedValue = int | float | SavedHistogram | SavedExponential | SavedSummary


class SavedPart(Struct, frozen=True, array_like=True):
    """One incarnation of a cumulative stream."""

    start_ns: int
    time_ns: int
    value: SavedValue
    after_ns: int
    before: SavedValue | None


class SavedCumulative(Struct, frozen=True, array_like=True, tag="c"):
    """A cumulative stream; the last part is the current one."""

    parts: tuple[SavedPart, ...]
    folded: SavedValue | None
    floor_ns: int
    adopted_ns: int


class SavedDelta(Struct, frozen=True, array_like=True, tag="d"):
    """A delta stream."""

    start_ns: int
    time_ns: int
    value: SavedValue
    windows: tuple[tuple[int, int], ...]
    adopted_ns: int


def save_stream(stream: Cumulative | Delta) -> SavedCumulative | SavedDelta:
    """The record of a stream."""
    if isinstance(stream, Delta):
        return SavedDelta(stream.start_ns, stream.time_ns, _number_or(stream.value), stream.windows, stream.adopted_ns)
    parts = (*stream.earlier, stream.current)
    return SavedCumulative(
        tuple(
            SavedPart(part.start_ns, part.time_ns, _number_or(part.value), part.after_ns, save(part.before))
            for part in parts
        ),
        save(stream.folded),
        stream.floor_ns,
        stream.adopted_ns,
    )


def load_stream(saved: SavedCumulative | SavedDelta) -> Cumulative | Delta:
    """The stream of a record.

    Raises:
        ValueError: the record holds no value.
    """
    if isinstance(saved, SavedDelta):
        value = _load_value(saved.value)
        delta = Delta(Point((), saved.start_ns, saved.time_ns, value), value)
        delta.windows, delta.adopted_ns = saved.windows, saved.adopted_ns
        return delta
    if not saved.parts:
        raise ValueError("a stream without a value")
    parts = [
        Incarnation(one.start_ns, one.time_ns, _load_value(one.value), one.after_ns, load(one.before))
        for one in saved.parts
    ]
    current = parts[-1]
    stream = Cumulative(Point((), current.start_ns, current.time_ns, current.value), current.value)
    stream.current, stream.earlier = current, tuple(parts[:-1])
    stream.folded, stream.floor_ns, stream.adopted_ns = load(saved.folded), saved.floor_ns, saved.adopted_ns
    return stream


def save(value: Value | None) -> SavedValue | None:
    """The record of a value, if there is one."""
    return None if value is None else _number_or(value)


def _number_or(value: Value) -> SavedValue:
    if isinstance(value, HistogramValue):
        return SavedHistogram(value.bounds, value.counts, value.sum, value.count)
    if isinstance(value, ExponentialValue):
        return SavedExponential(
            value.scale,
            value.zero_count,
            value.zero_threshold,
            value.offset,
            value.counts,
            value.negative_offset,
            value.negative_counts,
            value.sum,
            value.count,
        )
    if isinstance(value, SummaryValue):
        return SavedSummary(value.sum, value.count)
    return float(value) if isinstance(value, int) and value > _MAX_INT else value


def load(value: SavedValue | None) -> Value | None:
    """The value of a record, if there is one."""
    return None if value is None else _load_value(value)


def _load_value(value: SavedValue) -> Value:
    if isinstance(value, SavedHistogram):
        return HistogramValue(value.bounds, value.counts, value.sum, value.count)
    if isinstance(value, SavedExponential):
        return ExponentialValue(
            value.scale,
            value.zero_count,
            value.zero_threshold,
            value.offset,
            value.counts,
            value.negative_offset,
            value.negative_counts,
            value.sum,
            value.count,
        )
    if isinstance(value, SavedSummary):
        return SummaryValue(value.sum, value.count)
    return value
