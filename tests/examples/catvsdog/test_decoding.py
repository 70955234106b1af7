"""Reading uploads: what is taken, and the sentence and status of what is not."""

from __future__ import annotations

import io
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from examples.catvsdog import images
from examples.catvsdog.decoding import (
    JPEG,
    PNG,
    ImageError,
    NotAnImageError,
    TooLargeError,
    UnsupportedTypeError,
    decode,
)

WHOLE = images.picture("cat", 1).body


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("content_type", [JPEG, PNG])
def test_jpeg_and_png_show_the_same(content_type: str) -> None:
    """Both formats are read into the pixels that were written (JPEG: nearly)."""
    drawn = decode(images.picture("cat", 1, PNG).body)
    read = decode(images.picture("cat", 1, content_type).body)
    assert np.abs(np.asarray(read, dtype=int) - np.asarray(drawn, dtype=int)).mean() < 6


def test_the_first_bytes_decide_not_the_declared_type() -> None:
    """Curl sends application/octet-stream; a PNG stays a PNG."""
    assert decode(WHOLE, "application/octet-stream").mode == "RGB"
    assert decode(WHOLE, PNG).mode == "RGB"


@pytest.mark.parametrize(
    ("upload", "error", "words"),
    [
        (images.broken(0), UnsupportedTypeError, "'text/plain'; only image/jpeg and image/png are taken"),
        (images.broken(1), NotAnImageError, "its first bytes are neither those of a JPEG nor of a PNG"),
        (images.broken(2), NotAnImageError, "damaged or cut off"),
        (images.broken(3), UnsupportedTypeError, "another format; only JPEG and PNG"),
        (images.broken(4), NotAnImageError, "the file is empty"),
        (images.bomb(), TooLargeError, "at most 30,000,000 are taken"),
        (images.bomb(6000), TooLargeError, "6000 x 6000 pixels; at most 30,000,000"),
        (images.Upload("x.webp", "image/webp", b"RIFF\0\0\0\0WEBPVP8 "), UnsupportedTypeError, "another format"),
        (images.Upload("x.png", PNG, b"\x89PNG\r\n\x1a\n" + bytes(50)), NotAnImageError, "damaged"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_wrong_input_is_refused_in_a_sentence(upload: images.Upload, error: type[ImageError], words: str) -> None:
    """Each kind of wrong file has its own class, status and words for the person who sent it."""
    with pytest.raises(error, match=words) as caught:
        decode(upload.body, upload.content_type)
    assert type(caught.value) is error
    assert caught.value.status == {UnsupportedTypeError: 415, TooLargeError: 413}.get(error, 400)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    """A hundred bytes that claim 2.5 thousand million pixels cost neither time nor memory."""
    begin = time.process_time()
    with pytest.raises(TooLargeError):
        decode(images.bomb().body, PNG)
    assert time.process_time() - begin < 0.5


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
@settings(deadline=None, max_examples=40)
def test_damaged_bytes_never_raise_anything_else(at: int, flip: int) -> None:
    """A flipped byte or a cut file gives a picture or an ImageError, never another exception."""
    for body in (WHOLE[:at], WHOLE[:at] + bytes([WHOLE[at] ^ flip]) + WHOLE[at + 1 :]):
        with suppress(ImageError):
            assert decode(body).mode == "RGB"


def test_transparency_becomes_white() -> None:
    """What a transparent picture shows on a page is what the classifier sees, not the colours hidden under it."""
    hidden = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    assert decode(png(hidden)).getpixel((5, 5)) == (255, 255, 255)
    palette = hidden.quantize(4)
    assert decode(png(palette)).mode == "RGB"


def test_the_camera_held_sideways_is_turned() -> None:
    """A phone's picture with an orientation tag is seen upright."""
    picture = Image.new("RGB", (60, 30), "black")
    picture.paste("white", (0, 0, 10, 30))
    tagged = picture.getexif()
    tagged[0x0112] = 6  # the camera was turned a quarter
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=tagged.tobytes())
    upright = decode(file.getvalue())
    assert upright.size == (30, 60)
    assert np.asarray(upright.convert("L").crop((0, 0, 30, 8))).min() > 200


def test_a_large_photo_is_read_reduced() -> None:
    """Twelve million pixels come out at a size that costs little to look at."""
    photo = Image.new("RGB", (4000, 3000), (120, 90, 60))
    file = io.BytesIO()
    photo.save(file, "JPEG")
    assert max(decode(file.getvalue()).size) <= 1100
    assert max(decode(images.large("dog", 1, 2000).body).size) <= 1100
