"""The drawn animals: repeatable, and different where they should be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from examples.catvsdog.drawing import SIZE, draw, look


def test_one_seed_gives_one_picture() -> None:
    """Two workers, or two test runs, that ask for the same seed see the same pixels."""
    assert draw(look("cat", 7)).tobytes() == draw(look("cat", 7)).tobytes()


def test_every_picture_is_new() -> None:
    """Neither the seed nor the kind can be changed without changing the picture."""
    pictures = [draw(look(kind, seed)).tobytes() for kind in ("cat", "dog", "mixed") for seed in range(6)]
    assert all(one != two for one, two in pairwise(pictures))
    assert len(set(pictures)) == len(pictures)


def test_a_picture_is_square_rgb() -> None:
    """The size and mode that the docstring promises."""
    picture = draw(look("dog", 3))
    assert (picture.size, picture.mode) == ((SIZE, SIZE), "RGB")


def test_colour_does_not_tell_the_kinds_apart() -> None:
    """Mean colours of cats and dogs overlap: a classifier has to look at shapes."""
    means = {
        kind: np.array([np.asarray(draw(look(kind, seed))).mean(axis=(0, 1)) for seed in range(100, 160)])
        for kind in ("cat", "dog")
    }
    gap = np.abs(means["cat"].mean(axis=0) - means["dog"].mean(axis=0))
    spread = np.minimum(means["cat"].std(axis=0), means["dog"].std(axis=0))
    assert (gap < 0.6 * spread).all()


def test_a_mixed_animal_is_neither() -> None:
    """The animals that should leave the classifier unsure lie halfway between the kinds."""
    looks = [look("mixed", seed) for seed in range(30)]
    assert all(0.45 < one.dogness < 0.55 and one.droop == one.dogness for one in looks)
