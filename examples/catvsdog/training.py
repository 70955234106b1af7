"""Trains the classifier on drawn pictures and keeps it in the user's cache, so that workers and restarts train once.

`python -m examples.catvsdog.training` trains (or finds) the model and says how good it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageOps

from .classifier import CLASSES, Classifier, ModelFileError
from .decoding import decode
from .features import Vector, features
from .images import picture

PICTURES = 600
HELD_OUT = 300
_TRAINING_SEED = 1_000_000
_HELD_OUT_SEED = 2_000_000

Labels = NDArray[np.int64]


def dataset(seeds: Iterable[int], *, mirrored: bool = False) -> tuple[NDArray[np.float32], Labels]:
    """Features and labels (indexes of `CLASSES`) of one picture per seed, through the same JPEG bytes a user sends.

    With `mirrored` every picture is there twice, the second time left-right reversed.
    """
    rows: list[Vector] = []
    labels: list[int] = []
    for seed in seeds:
        label = seed % len(CLASSES)
        view = decode(picture(CLASSES[label], seed).body)
        views = (view, ImageOps.mirror(view)) if mirrored else (view,)
        rows += map(features, views)
        labels += [label] * len(views)
    return np.array(rows), np.array(labels)


def fit(rows: NDArray[np.float32], labels: Labels) -> tuple[Vector, float]:
    """Weights and bias of a logistic regression; the same input gives the same model."""
    # A service that finds the model in the cache need not import scikit-learn: seconds and 100 MB a worker.
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # scikit-learn ships no types

    model = LogisticRegression(C=0.2, max_iter=500)
    model.fit(rows, labels)
    return model.coef_[0].astype(np.float32), float(model.intercept_[0])


def accuracy(weights: Vector, bias: float, rows: NDArray[np.float32], labels: Labels) -> float:
    """The share of pictures that the model puts into the right class."""
    return float(np.mean((rows @ weights + bias >= 0) == (labels == 1)))


def train() -> Classifier:
    """Trains on `PICTURES` pictures and measures on `HELD_OUT` others: a few seconds of one core."""
    rows, labels = dataset(range(_TRAINING_SEED, _TRAINING_SEED + PICTURES), mirrored=True)
    weights, bias = fit(rows, labels)
    measured = accuracy(weights, bias, *dataset(range(_HELD_OUT_SEED, _HELD_OUT_SEED + HELD_OUT)))
    return Classifier(weights, rows.mean(axis=0), bias, measured, HELD_OUT)


def cache_file() -> Path:
    """Where the model of exactly this code is kept: in `$XDG_CACHE_HOME` or `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256()
    for name in ("drawing", "images", "decoding", "features", "classifier", "training"):
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return Path(home) / "otel-sidecar" / f"catvsdog-{digest.hexdigest()[:16]}.npz"


def load_or_train(path: Path | None = None) -> Classifier:
    """The cached model, or a new one; of several processes that ask at once, one trains and the others wait for it.

    A cache that can't be written (a read-only container) costs each process its own training and is no error.
    """
    path = path or cache_file()
    with suppress(OSError, ModelFileError):
        return Classifier.load(path)
    model: Classifier | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock")):
            with suppress(OSError, ModelFileError):
                return Classifier.load(path)  # another process made it while this one waited
            model = train()
            model.save(path)
            return model
    except OSError as error:
        print(f"catvsdog: the model is not kept, {path.parent} can't be written: {error.strerror}", flush=True)
        return model or train()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Lets one process in at a time; the kernel releases the lock when the process ends, however it ends."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Makes sure that the model is there and says how good it is."""
    file = cache_file()
    found = "found" if file.is_file() else "trained"
    begun = time.perf_counter()
    model = load_or_train(file)
    took = time.perf_counter() - begun
    print(f"{found} in {took:.1f} s: {model.accuracy:.1%} of {model.held_out} held-out pictures right ({file})")


if __name__ == "__main__":
    main()
