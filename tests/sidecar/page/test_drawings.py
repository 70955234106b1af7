"""Bars and lines stay inside their drawing, and nothing from the network becomes a class name."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sidecar.page.drawings import WIDTH, sparkline, waterfall
from sidecar.recent import Recent
from tests.support.spans import batch, span


def lines_of(*spans: Span, limit: int = 500) -> list[tuple[str, int, int, str]]:
    recent = Recent(1 << 20)
    recent.offer(batch(*spans))
    return [(line.span.name, line.x, line.width, line.colour) for line in waterfall(recent.traces()[0], limit)]


def test_bars_are_to_scale() -> None:
    """A stage that takes the second half of a request is drawn as its second half."""
    assert lines_of(
        span(1, name="POST /predict", ms=100, kind=Span.SPAN_KIND_SERVER),
        span(2, 1, name="preprocess", ms=50),
        span(3, 1, name="inference", start_ms=50, ms=50),
    ) == [
        ("POST /predict", 0, 1000, "server"),
        ("preprocess", 0, 500, "preprocess"),
        ("inference", 500, 500, "inference"),
    ]


def test_the_stage_attribute_wins_over_the_name() -> None:
    """A stage of another name is coloured by what it is."""
    stage = span(1, name="decode", attributes={"ml.stage": AnyValue(string_value="preprocess")})
    assert lines_of(stage)[0][3] == "preprocess"


def test_a_name_never_becomes_a_class() -> None:
    """Colours are of a fixed set, whatever spans and stages are called."""
    evil = span(1, name='"><script>', attributes={"ml.stage": AnyValue(string_value='x" onload="')})
    assert lines_of(evil)[0][3] == "internal"


def test_the_limit_is_kept() -> None:
    assert len(lines_of(*(span(i, start_ms=i) for i in range(1, 30)), limit=12)) == 12


@given(st.lists(st.tuples(st.integers(-1000, 1000), st.integers(0, 1000)), min_size=1, max_size=12))
@settings(deadline=None, max_examples=50)
def test_bars_stay_inside_and_can_be_seen(times: list[tuple[int, int]]) -> None:
    """Even a span of no length, or at the very end, has a bar that begins and ends inside."""
    for _, x, width, _ in lines_of(*(span(i, start_ms=s, ms=ms) for i, (s, ms) in enumerate(times, 1))):
        assert 0 <= x <= x + width <= WIDTH
        assert width >= 4


def test_a_sparkline_needs_two_points() -> None:
    assert sparkline([]) == sparkline([1.0]) == sparkline([None, 2.0]) == ""
    assert sparkline([0.0, 10.0]) == "0,38.0 1000,2.0"
    assert sparkline([0.0, 0.0]) == "0,38.0 1000,38.0"
    assert sparkline([1.0, None, 2.0]).count(",") == 2
