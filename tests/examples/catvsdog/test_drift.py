"""The service's own drift score: near 0 for pictures like the training's, bounded, and it forgets."""

from __future__ import annotations

import numpy as np

from examples.catvsdog.drift import Drift
from examples.catvsdog.features import Vector


def vector(value: float) -> Vector:
    return np.full(10, value, dtype=np.float32)


def test_pictures_like_the_trainings_score_nothing() -> None:
    assert Drift(vector(0.3)).update(vector(0.3)) == 0


def test_other_pictures_raise_it_and_usual_ones_lower_it_again() -> None:
    """A few odd pictures are no drift; hundreds are, and hundreds of usual ones end it."""
    drift = Drift(vector(0.3))
    first = drift.update(vector(0.9))
    drifted = [drift.update(vector(0.9)) for _ in range(600)][-1]
    recovered = [drift.update(vector(0.3)) for _ in range(1500)][-1]
    assert first < 0.02 < drifted
    assert recovered < 0.02


def test_the_score_is_at_most_one() -> None:
    drift = Drift(vector(0.1))
    assert max(drift.update(vector(1.0)) for _ in range(2000)) == 1.0
