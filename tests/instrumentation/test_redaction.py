"""Inputs are never recorded unless asked, and then without what is private."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instrumentation import Model, Redaction
from tests.support.memory import Telemetry

INPUT = "ml.prediction.input"


def test_no_input_is_recorded_unless_asked(telemetry: Telemetry) -> None:
    """`p.input` does nothing by default."""
    with Model("discreet").predict() as p:
        p.input({"age": 42})
    assert INPUT not in (telemetry.span("predict discreet").attributes or {})


def test_an_input_is_recorded_without_what_is_private(telemetry: Telemetry) -> None:
    """Fields by their name, texts by their content, at any depth."""
    with Model("curious", record_inputs=True).predict() as p:
        p.input(age=42, customerEmail="a@b.example", text="call me at cat@example.org", nested=[{"API-Key": "k"}])
    recorded = json.loads(str((telemetry.span("predict curious").attributes or {})[INPUT]))
    assert recorded == {
        "age": 42,
        "customerEmail": "REDACTED",
        "text": "call me at REDACTED",
        "nested": [{"API-Key": "REDACTED"}],
    }


@pytest.mark.parametrize(
    ("value", "recorded"),
    [
        ("4111 1111 1111 1111 is my card", "REDACTED is my card"),
        (4111111111111111, "REDACTED"),
        ("Bearer abc.def", "REDACTED"),
        (None, None),
        ([1, 2.5, True], [1, 2.5, True]),
        (np.zeros((2, 2)), "<ndarray float64 (2, 2)>"),
        (b"raw", "<bytes 3>"),
        ({"tokens": [1], "token": "t", "password2": "visible by its name alone"},
         {"tokens": [1], "token": "REDACTED", "password2": "visible by its name alone"}),
        (list(range(40)), [*range(32), "…"]),
        ({str(n): n for n in range(34)}, {**{str(n): n for n in range(32)}, "…": 2}),
        ([[[[[[[1]]]]]]], [[[[[["…"]]]]]]),
    ],
)  # fmt: skip
def test_the_usual_rules(value: Any, recorded: Any) -> None:
    """By name: its end; by content: addresses, cards, tokens; arrays and bytes are only described."""
    assert json.loads(Redaction().text(value)) == recorded


def test_rules_of_ones_own_join_the_usual_ones() -> None:
    """Or replace them."""
    own = Redaction(keys=("customer name",), patterns=(r"(?i)contract-\d+",))
    value = {"Customer_Name": "Ada", "note": "CONTRACT-12 of a@b.example"}
    assert json.loads(own.text(value)) == {"Customer_Name": "REDACTED", "note": "REDACTED of REDACTED"}
    alone = Redaction(keys=("name",), defaults=False)
    assert json.loads(alone.text({"name": "x", "email": "a@b.example"})) == {"name": "REDACTED", "email": "a@b.example"}


def test_a_pattern_that_is_no_expression_is_refused_by_name() -> None:
    """Where it is written."""
    with pytest.raises(ValueError, match=r"Redaction\(patterns='\('\): no regular expression"):
        Redaction(patterns=("(",))


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))
@settings(deadline=None, max_examples=50)
def test_a_record_is_bounded_and_has_no_address(value: Any) -> None:
    """Whatever comes."""
    text = Redaction(max_text=200).text([value, "x@example.org"])
    assert len(text) <= 200
    assert "x@example.org" not in text
