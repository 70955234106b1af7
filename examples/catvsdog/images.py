"""Makes uploads as clients send them, broken and hostile ones among them, for training, tests and the demo."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from .decoding import JPEG, PNG
from .drawing import SIZE, draw, look


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as a client sends it.

    Attributes:
        name: the file's name.
        content_type: what the client says it is.
        body: its bytes.
    """

    name: str
    content_type: str
    body: bytes


def encode(picture: Image.Image, content_type: str = JPEG) -> bytes:
    """The picture's bytes as JPEG or PNG."""
    file = io.BytesIO()
    if content_type == JPEG:
        picture.save(file, "JPEG", quality=85)
    else:
        picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def picture(kind: str, seed: int, content_type: str = JPEG) -> Upload:
    """A `cat`, a `dog`, or a `mixed` animal that should leave the classifier unsure."""
    return _upload(draw(look(kind, seed)), f"{kind}-{seed}", content_type)


def night(kind: str, seed: int) -> Upload:
    """The same animals through another camera, dark, soft and noisy: what drift looks like."""
    rng = np.random.default_rng([seed, 9])
    blurred = draw(look(kind, seed)).filter(ImageFilter.GaussianBlur(float(rng.uniform(1.5, 3.0))))
    pixels = np.asarray(blurred.convert("L"), dtype=np.float64)[:, :, None]
    green = pixels * 0.3 * np.array([0.6, 1.0, 0.7]) + rng.normal(8, 14, (SIZE, SIZE, 1))
    return _upload(Image.fromarray(np.clip(green, 0, 255).astype(np.uint8)), f"night-{kind}-{seed}", JPEG)


def large(kind: str, seed: int, side: int = 3600) -> Upload:
    """A picture of `side` by `side` pixels, as PNG: slow to decode."""
    return _upload(draw(look(kind, seed)).resize((side, side)), f"large-{kind}-{seed}", PNG)


def broken(seed: int) -> Upload:
    """An upload that is no picture the service can take; five seeds in a row give all five ways."""
    whole = picture("cat", seed)
    ways = (
        Upload("notes.txt", "text/plain", b"my cat sleeps on the keyboard"),
        Upload("cat.jpg", JPEG, b"this is text with a picture's name"),
        Upload("cut-off.jpg", JPEG, whole.body[: len(whole.body) // 3]),
        Upload("cat.gif", "image/gif", b"GIF89a" + bytes(64)),
        Upload("empty.png", PNG, b""),
    )
    return ways[seed % len(ways)]


def bomb(side: int = 50_000) -> Upload:
    """A PNG of a few dozen bytes that says it has `side` by `side` pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(16))) + chunk(b"IEND", b"")
    return Upload("bomb.png", PNG, body)


def _upload(image: Image.Image, name: str, content_type: str) -> Upload:
    return Upload(f"{name}.{'jpg' if content_type == JPEG else 'png'}", content_type, encode(image, content_type))
