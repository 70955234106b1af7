"""Contradictions that the contract itself shows are refused at start."""

from __future__ import annotations

import pytest

from sidecar.contract import Contract, Label, View
from sidecar.contract.check import problems
from sidecar.contract.source import key_path

DURATION = "ml.prediction.duration"


def view(metric: str = "m", name: str = "x", **rest: object) -> View:
    return View(metric=metric, name=name, **rest)  # type: ignore[arg-type] # a table of many fields


WRONG = [
    (view("ml.predictions", read="count"), "read", "'count' needs a histogram; ml.predictions is a counter"),
    (view(read="count", unit="ms"), "unit", "'ms': a count has no unit"),
    (view(unit="msec"), "unit", "'msec' is no unit that can be converted; did you mean 'ms'?"),
    (view(DURATION, unit="By"), "unit", "'By' cannot be had from ml.prediction.duration, in 's'"),
    (view(where={"a": []}), "where.a", "[] matches nothing"),
    (view(labels={"le": "a"}), "labels.le", "'le' is a label that Prometheus keeps for itself"),
    (view(labels={"__a": "a"}), "labels.__a", "'__a' is a label that Prometheus keeps for itself"),
    (view(labels={"a": ""}), "labels.a", "is empty: name an attribute, or use {value: ...}"),
    (view(labels={"a": Label()}), "labels.a", "needs either attribute or value"),
    (view(labels={"a": Label(attribute="b", value="c")}), "labels.a", "needs either attribute or value"),
    (
        view(labels={"a": Label(value="c", as_="class")}),
        "labels.a",
        "a fixed value goes with neither as, map nor default",
    ),
    (view(name="target_info"), "name", "'target_info' belongs to the sidecar's own metrics"),
    (view(name="otel_sidecar_x"), "name", "'otel_sidecar_x' belongs to the sidecar's own metrics"),
]


@pytest.mark.parametrize(("wrong", "key", "sentence"), WRONG)
def test_a_view_that_contradicts_itself_or_the_registry(wrong: View, key: str, sentence: str) -> None:
    found = [(key_path(place), what) for place, what in problems(Contract(views=(wrong,)))]
    assert found == [(f"views[0].{key}", sentence)]


def test_two_views_of_one_name() -> None:
    found = list(problems(Contract(views=(view(), view("n"), view("o")))))
    assert found == [
        (("views", 1, "name"), "'x' is already the name of views[0]"),
        (("views", 2, "name"), "'x' is already the name of views[0]"),
    ]


def test_counts_always_add_up() -> None:
    found = list(problems(Contract(merge={"ml.predictions": "max", "ml.model.loaded": "max", "own": "last"})))
    assert found == [(("merge", "ml.predictions"), "'max': ml.predictions is a counter; those always add up")]


def test_what_is_right_passes() -> None:
    fine = Contract(views=(view(DURATION, unit="ms"), view(DURATION, "y", read="sum", unit="min"), view("own", "z")))
    assert not list(problems(fine))
