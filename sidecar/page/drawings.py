"""Where the bars of a waterfall and the points of a sparkline go; SVG's own attributes, which need no inline styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sidecar import semconv
from sidecar.recent import SpanView, Trace

#: Units of a drawing's width; a bar is never thinner than `_THIN` of them.
WIDTH: Final = 1000
_THIN: Final = 4
_LINE_HEIGHT: Final = 40
_COLOURED: Final = frozenset(
    {
        semconv.ML_STAGE_QUEUE,
        semconv.ML_STAGE_PREPROCESS,
        semconv.ML_STAGE_INFERENCE,
        semconv.ML_STAGE_POSTPROCESS,
    }
)


@dataclass(frozen=True, slots=True)
class Line:
    """One span of a waterfall: its bar from `x`, `width` wide, and the class that colours it."""

    span: SpanView
    x: int
    width: int
    colour: str


def waterfall(trace: Trace, limit: int) -> list[Line]:
    """The first `limit` spans of a trace."""
    whole = max(1, trace.duration_ns)
    lines = []
    for span in trace.spans[:limit]:
        x = min(WIDTH - _THIN, span.offset_ns * WIDTH // whole)
        width = min(WIDTH - x, max(_THIN, span.duration_ns * WIDTH // whole))
        lines.append(Line(span, x, width, _colour(span)))
    return lines


def _colour(span: SpanView) -> str:
    """One of a fixed set: what a span is called comes from the network and never becomes a class name."""
    stage = dict(span.attributes).get(semconv.ML_STAGE, span.name)
    if stage in _COLOURED:
        return stage
    return span.kind if span.kind in ("server", "client") else "internal"


def sparkline(values: Sequence[float | None]) -> str:
    """The points of a polyline in a box of `WIDTH` by 40; empty when there are fewer than two values."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    top = max(known) or 1.0
    step = WIDTH / (len(values) - 1)
    return " ".join(
        f"{at * step:.0f},{_LINE_HEIGHT - 2 - value / top * (_LINE_HEIGHT - 4):.1f}"
        for at, value in enumerate(values)
        if value is not None
    )
