"""A service's own idea of drift, as simple as one has it before tools: how unlike the training are recent pictures?"""

from __future__ import annotations

import numpy as np

from .features import Vector

_MEMORY = 200  # pictures that the running mean reaches back, about


class Drift:
    """Compares a running mean of features with the training's mean."""

    def __init__(self, typical: Vector) -> None:
        self._typical = typical
        self._recent = typical

    def update(self, features: Vector) -> float:
        """Takes one picture's features and returns the score: 0 like the training, 1 as far from it as can be.

        Threads may lose each other's last picture here, which a mean of hundreds does not feel; so there is no lock.
        """
        self._recent = self._recent + (features - self._recent) / np.float32(_MEMORY)
        return min(1.0, float(np.linalg.norm(self._recent - self._typical) / np.linalg.norm(self._typical)))
