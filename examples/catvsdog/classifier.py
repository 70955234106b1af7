"""Holds a trained model as plain numbers, so that loading one can never run code (no pickle)."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .features import LENGTH, Vector

CLASSES = ("cat", "dog")
_NUMBERS = ("weights", "typical", "bias", "accuracy", "held_out")


class ModelFileError(Exception):
    """A file that should hold a model does not; the text names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A linear model of the probability that a picture shows a dog.

    Attributes:
        weights: one number per feature.
        typical: the mean features of the pictures it was trained on.
        bias: the log odds of a picture without any edge.
        accuracy: the share of held-out pictures it got right when it was trained.
        held_out: how many pictures that was measured on.
    """

    weights: Vector
    typical: Vector
    bias: float
    accuracy: float
    held_out: int

    def classify(self, features: Vector) -> tuple[str, float]:
        """The class, and the model's probability for it: 0.5 to 1."""
        dog = 1.0 / (1.0 + float(np.exp(-(float(features @ self.weights) + self.bias))))
        return (CLASSES[1], dog) if dog >= 0.5 else (CLASSES[0], 1.0 - dog)

    def save(self, path: Path) -> None:
        """Writes the model so that a reader, in this process or another, sees all of it or nothing."""
        draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with draft.open("wb") as file:
                np.savez(file, allow_pickle=False, **{name: np.asarray(getattr(self, name)) for name in _NUMBERS})
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> Classifier:
        """Reads a saved model.

        Raises:
            OSError: there is none, or it can't be read.
            ModelFileError: the file holds something else, or half of it.
        """
        try:
            # Opened here: numpy leaves a file that turns out to be no archive to the garbage collector.
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                weights, typical, *numbers = (np.asarray(file[name]) for name in _NUMBERS)
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelFileError(f"{path} is no model of this example: {error}") from error
        if not weights.shape == typical.shape == (LENGTH,) or any(number.shape for number in numbers):
            raise ModelFileError(f"{path} holds {weights.shape} weights, this example needs ({LENGTH},)")
        bias, accuracy, held_out = numbers
        return cls(weights.astype(np.float32), typical.astype(np.float32), float(bias), float(accuracy), int(held_out))
