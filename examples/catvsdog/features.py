"""Turns a picture into the numbers the classifier sees: where its edges are and which way they run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Vector = NDArray[np.float32]

SIDE = 64  # pixels of the square, grey picture that is looked at
CELL = 8  # pixels of a cell's side
BINS = 9  # directions of an edge, over half a turn
_CELLS = SIDE // CELL
LENGTH = (_CELLS - 1) ** 2 * 4 * BINS
_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE] // CELL
_CELL_OF_PIXEL = (_ROWS * _CELLS + _COLUMNS) * BINS


def features(picture: Image.Image) -> Vector:
    """A histogram of oriented gradients of the picture's middle square: `LENGTH` numbers between 0 and 1.

    Gradients ignore colour, and each block of two by two cells is scaled to length 1, so light matters little.
    """
    square = ImageOps.fit(picture.convert("L"), (SIDE, SIDE), Image.Resampling.BOX)
    down, across = np.gradient(np.asarray(square, dtype=np.float64) / 255)
    strength = np.hypot(down, across)
    place = np.arctan2(down, across) % np.pi / np.pi * BINS
    lower = np.floor(place).astype(np.int64)
    share = place - lower
    # An edge between two directions counts for both, so that a small tilt changes little.
    histogram = _count(_CELL_OF_PIXEL + lower % BINS, strength * (1 - share))
    histogram += _count(_CELL_OF_PIXEL + (lower + 1) % BINS, strength * share)
    cells = histogram.reshape(_CELLS, _CELLS, BINS)
    blocks = np.lib.stride_tricks.sliding_window_view(cells, (2, 2), axis=(0, 1)).reshape(_CELLS - 1, _CELLS - 1, -1)
    scale = np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + 0.01)
    vector: Vector = (blocks / scale).ravel().astype(np.float32)
    return vector


def _count(slots: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.bincount(slots.ravel(), weights.ravel(), _CELLS * _CELLS * BINS).astype(np.float64, copy=False)
