"""Exponential histograms in the sparse shape of Prometheus' native ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from sidecar.bridge import exponential
from sidecar.bridge.model import ExponentialValue

#: Compat spec 1.60, "Exponential Histograms": "valid values for `schema` are -4 <= n <= 8"; finer ones are downscaled,
#: coarser ones cannot be had.
MIN_SCHEMA, MAX_SCHEMA = -4, 8
#: The same: "Otherwise, it is set to the default value `1e-128`".
ZERO_THRESHOLD = 1e-128
#: Up to so many empty buckets cost less as zeros than as a new span.
MAX_GAP = 2


@dataclass(frozen=True, slots=True)
class Side:
    """The positive or the negative buckets.

    Attributes:
        spans: (buckets left out since the span before, or the first one's index; length).
        deltas: each bucket's count less the one's before it.
    """

    spans: tuple[tuple[int, int], ...]
    deltas: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Native:
    """A native histogram without what it shares with its source: count, sum, count at zero."""

    schema: int
    zero_threshold: float
    positive: Side
    negative: Side


def native(value: ExponentialValue) -> Native | None:
    """The native histogram; None for a scale that Prometheus has no schema for."""
    if value.scale < MIN_SCHEMA:
        return None
    held = exponential.to_scale(value, min(value.scale, MAX_SCHEMA))
    return Native(
        held.scale,
        held.zero_threshold or ZERO_THRESHOLD,
        _side(held.offset, held.counts),
        _side(held.negative_offset, held.negative_counts),
    )


def _side(offset: int, counts: tuple[int, ...]) -> Side:
    # OTLP numbers a bucket by its lower boundary, Prometheus by its upper one.
    first = offset + 1
    spans: list[tuple[int, int]] = []
    shown: list[int] = []
    end = 0
    for start, length in _runs(counts):
        gap = start - end
        if spans and gap <= MAX_GAP:
            spans[-1] = (spans[-1][0], spans[-1][1] + gap + length)
            shown += counts[end : start + length]
        else:
            spans.append((first + start if not spans else gap, length))
            shown += counts[start : start + length]
        end = start + length
    return Side(tuple(spans), tuple(b - a for a, b in pairwise((0, *shown))))


def _runs(counts: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """(start, length) of each run of buckets that hold something."""
    for empty, run in groupby(enumerate(counts), key=lambda one: one[1] == 0):
        if not empty:
            places = [place for place, _ in run]
            yield places[0], len(places)
