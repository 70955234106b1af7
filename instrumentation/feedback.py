"""What this process predicted lately, so that a ground truth that arrives later finds its prediction."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Final, NamedTuple

# About 3 MB at most.
CAPACITY: Final = 10_000


class Remembered(NamedTuple):
    """One prediction.

    Attributes:
        predicted: its class.
        attributes: its model's, of the version that predicted.
        at_ns: when it ended, monotonic.
    """

    predicted: str | None
    attributes: Mapping[str, str]
    at_ns: int


class Memory:
    """The last predictions by id; the oldest goes."""

    def __init__(self) -> None:
        self._predictions: OrderedDict[str, Remembered] = OrderedDict()
        self._lock = Lock()

    def add(self, prediction_id: str, remembered: Remembered) -> None:
        """Keeps one."""
        with self._lock:
            self._predictions[prediction_id] = remembered
            if len(self._predictions) > CAPACITY:
                self._predictions.popitem(last=False)

    def take(self, prediction_id: str) -> Remembered | None:
        """Hands one out, once."""
        with self._lock:
            return self._predictions.pop(prediction_id, None)
