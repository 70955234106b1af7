"""Ground truths find the prediction they are of, for as long as this process remembers it."""

from __future__ import annotations

from instrumentation import Model
from instrumentation.feedback import CAPACITY, Memory, Remembered
from instrumentation.testing import capture


def test_the_delay_of_a_label_is_measured() -> None:
    """Seconds from the prediction to its truth, of known ones alone."""
    model = Model("delayed", version="1")
    with capture() as captured:
        with model.predict() as p:
            p.result("cat")
        captured.clock.advance(3600)
        assert model.feedback(p.id, truth="cat") is True
        assert model.feedback("unheard of", truth="cat") is None
    assert captured.value("ml.feedback.delay", {"ml.model.name": "delayed"}) == 3600
    assert captured.count("ml.feedback.delay") == 1


def test_a_truth_counts_for_the_version_and_role_that_predicted() -> None:
    """Though a new version has taken its place since."""
    model = Model("reloaded", version="1")
    with capture() as captured:
        with model.predict(role="canary") as p:
            p.result("cat")
        with model.load("2"):
            pass
        model.feedback(p.id, truth="dog")
    (point,) = captured.points("ml.feedback")
    assert (point.attributes["ml.model.version"], point.attributes["ml.model.role"]) == ("1", "canary")


def test_the_oldest_prediction_is_forgotten_first() -> None:
    """Memory is bounded."""
    memory = Memory()
    for number in range(CAPACITY + 1):
        memory.add(str(number), Remembered("cat", {}, 0))
    assert memory.take("0") is None
    assert memory.take("1") is not None
    assert memory.take("1") is None
