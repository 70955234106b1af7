"""The uploads that training, tests and the demo send."""

from __future__ import annotations

import numpy as np
import pytest

from examples.catvsdog import images
from examples.catvsdog.decoding import JPEG, PNG, ImageError, decode
from examples.catvsdog.features import LENGTH, features


def test_an_upload_says_what_it_is() -> None:
    """Name, declared type and first bytes of an upload agree."""
    jpeg, png = images.picture("cat", 5), images.picture("dog", 5, PNG)
    assert (jpeg.name, jpeg.content_type, jpeg.body[:3]) == ("cat-5.jpg", JPEG, b"\xff\xd8\xff")
    assert (png.name, png.content_type, png.body[1:4]) == ("dog-5.png", PNG, b"PNG")


def test_five_broken_uploads_are_all_refused() -> None:
    """Five seeds in a row give five different wrong files, none of which can be read."""
    names = set()
    for seed in range(10, 15):
        upload = images.broken(seed)
        names.add(upload.name)
        with pytest.raises(ImageError):
            decode(upload.body, upload.content_type)
    assert len(names) == 5


def test_night_pictures_are_another_distribution() -> None:
    """Pictures of the night camera are far darker than those the model was trained on, and still pictures."""
    day = [np.asarray(decode(images.picture("cat", seed).body)).mean() for seed in range(20)]
    night = [np.asarray(decode(images.night("cat", seed).body)).mean() for seed in range(20)]
    assert max(night) < min(day)


def test_a_large_picture_is_large_in_pixels_only() -> None:
    """The slow upload has millions of pixels in a file that is sent quickly, and is under the service's bound."""
    upload = images.large("cat", 1)
    assert len(upload.body) < 10_000_000
    assert decode(upload.body, upload.content_type).mode == "RGB"


def test_features_are_bounded_and_ignore_light() -> None:
    """Features lie between 0 and 1, and a darker copy of a picture has nearly the same."""
    picture = decode(images.picture("dog", 3).body)
    bright, dark = features(picture), features(picture.point(lambda value: value * 0.6))
    assert bright.shape == (LENGTH,)
    assert bright.min() >= 0
    assert bright.max() <= 1
    assert float(bright @ dark / np.sqrt((bright @ bright) * (dark @ dark))) > 0.97
