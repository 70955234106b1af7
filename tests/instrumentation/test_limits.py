"""What a service hangs on a span is bounded, and what is cut is marked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instrumentation import Model
from instrumentation.limits import MAX_ATTRIBUTES, MAX_EVENTS, MAX_ITEMS, MAX_KEY, MAX_TEXT, limited
from tests.support.memory import Telemetry


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1, 1),
        (True, True),
        (0.5, 0.5),
        ("cat", "cat"),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.zeros((3, 2), np.float32), "<ndarray float32 (3, 2)>"),
        (b"secret", "<bytes 6>"),
        ([1, 2], [1, 2]),
        ([1, "a"], ["1", "a"]),
        ((), []),
        (2**70, str(2**70)),
        ({"a": 1}, "{'a': 1}"),
    ],
)
def test_values_are_taken_as_a_span_takes_them(value: Any, kept: Any) -> None:
    """Numbers stay numbers, arrays and bytes are described, the rest is text."""
    assert limited({"key": value}) == ({"key": kept}, 0)


def test_nothing_is_left_out() -> None:
    """None is no value."""
    assert limited({"key": None}) == ({}, 0)


def test_what_is_too_long_ends_in_a_mark_and_is_counted() -> None:
    """Texts, names and lists."""
    kept, cut = limited({"text": "x" * 300, "k" * 70: 1, "list": list(range(40))})
    assert cut == 3
    assert kept["text"] == "x" * (MAX_TEXT - 1) + "…"
    assert kept["k" * (MAX_KEY - 1) + "…"] == 1
    assert kept["list"] == list(range(MAX_ITEMS))


VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=300), st.lists(st.text()))


@given(st.dictionaries(st.text(max_size=80), VALUES, max_size=50))
@settings(deadline=None, max_examples=50)
def test_the_limits_hold_for_anything(attributes: dict[str, Any]) -> None:
    """Whatever comes, a span is not flooded."""
    kept, cut = limited(attributes)
    assert len(kept) <= MAX_ATTRIBUTES
    assert all(len(key) <= MAX_KEY for key in kept)
    assert all(len(value) <= MAX_TEXT for value in kept.values() if isinstance(value, str | list))
    assert cut <= len(attributes)


def test_a_predictions_attributes_and_events_are_bounded(telemetry: Telemetry) -> None:
    """All calls together: a name set twice takes one place; how much was cut is on the span."""
    with Model("limited").predict() as p:
        for number in range(MAX_ATTRIBUTES + 2):
            p.set(**{f"feature_{number}": number})
        p.set(feature_0="again")
        for _ in range(MAX_EVENTS + 1):
            p.event("explained", method="shap", text="x" * 300 if not p._events else "x")
    span = telemetry.span("predict limited")
    attributes = dict(span.attributes or {})
    assert attributes["feature_0"] == "again"
    assert attributes[f"feature_{MAX_ATTRIBUTES - 1}"] == MAX_ATTRIBUTES - 1
    assert f"feature_{MAX_ATTRIBUTES}" not in attributes
    assert attributes["ml.prediction.cut"] == 4
    assert len(span.events) == MAX_EVENTS
    assert (span.events[0].attributes or {})["method"] == "shap"
