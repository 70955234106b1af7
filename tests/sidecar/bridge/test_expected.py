"""A view that has never shown anything is named, with what was probably meant."""

from __future__ import annotations

import pytest

from sidecar.bridge.expected import PATIENCE_NS, Expected, missing
from sidecar.bridge.model import Family, Kind, Series
from sidecar.contract import View

FAMILIES = (
    Family(
        "ml.predictions",
        Kind.COUNTER,
        "{prediction}",
        series=(
            Series((("class", "cat"), ("outcome", "success")), 1),
            Series((("class", "dog"), ("outcome", "error")), 1),
        ),
    ),
    Family("http.server.request.duration", Kind.HISTOGRAM, "s", series=(Series((), 1),)),
)


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (
            View(metric="ml.prediction", name="v"),
            "no metric ml.prediction has come so far; the nearest that has come is ml.predictions",
        ),
        (
            View(metric="ml_predictions_total", name="v"),
            "no metric ml_predictions_total has come so far; the nearest that has come is ml.predictions",
        ),
        (View(metric="queue.depth", name="v"), "no metric queue.depth has come so far"),
        (
            View(metric="ml.predictions", name="v", where={"class": "dogs"}),
            "none of 2 series of ml.predictions has class 'dogs': class is 'dog', 'cat'",
        ),
        (
            View(metric="ml.predictions", name="v", where={"class": ["bird", "fish"]}),
            "none of 2 series of ml.predictions has class 'bird' or 'fish': class is 'cat', 'dog'",
        ),
        (
            View(metric="ml.predictions", name="v", where={"klass": "dog"}),
            "none of 2 series of ml.predictions has klass 'dog': none has klass",
        ),
        (
            View(metric="ml.predictions", name="v", where={"class": "dog", "outcome": "success"}),
            "none of 2 series of ml.predictions has all of where: {'class': 'dog', 'outcome': 'success'} at once",
        ),
    ],
)
def test_the_nearest_is_named(view: View, sentence: str) -> None:
    assert missing(view, FAMILIES) == sentence


def test_nothing_is_said_before_others_have_come_for_a_while() -> None:
    expected = Expected([View(metric="typo", name="v"), View(metric="ml.predictions", name="fine")])
    assert expected.overdue((), (), 1) == ()
    assert expected.overdue((), (), 10 * PATIENCE_NS) == ()  # nobody exports at all
    start = 20 * PATIENCE_NS
    assert expected.overdue({"fine"}, FAMILIES, start) == ()
    assert expected.overdue({"fine"}, FAMILIES, start + PATIENCE_NS - 1) == ()
    (problem,) = expected.overdue((), FAMILIES, start + PATIENCE_NS)
    assert (problem.reason, problem.metric) == ("no_data", "v")


def test_what_comes_late_is_no_problem_any_more_even_when_it_goes() -> None:
    expected = Expected([View(metric="late", name="v")])
    expected.overdue((), FAMILIES, 1)
    assert len(expected.overdue((), FAMILIES, 1 + PATIENCE_NS)) == 1
    assert expected.overdue({"v"}, FAMILIES, 2 * PATIENCE_NS) == ()
    assert expected.overdue((), FAMILIES, 3 * PATIENCE_NS) == ()
