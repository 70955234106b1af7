"""Reads uploads into pictures: what a stranger sends is checked before it costs memory, and refused in a sentence."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 30_000_000
"""What a decoded upload may have: a phone's photo fits, a bomb of a few hundred bytes does not."""

JPEG, PNG = "image/jpeg", "image/png"
_SIGNATURES = {b"\xff\xd8\xff": JPEG, b"\x89PNG\r\n\x1a\n": PNG}
_LOADED_SIDE = 512  # pixels; a larger picture is reduced to about this, a JPEG while it is decoded


class ImageError(Exception):
    """An upload can't be classified; the text says why, to the person who sent it. `status` is HTTP's."""

    status = 400


class NotAnImageError(ImageError):
    """The bytes are no readable picture: damaged, cut off, or never one."""


class UnsupportedTypeError(ImageError):
    """It may be a picture, but neither JPEG nor PNG."""

    status = 415


class TooLargeError(ImageError):
    """More bytes or more pixels than the service takes."""

    status = 413


def decode(body: bytes, content_type: str = JPEG) -> Image.Image:
    """Reads a JPEG or PNG into an upright picture; what it is, is decided by its first bytes, not by `content_type`.

    Raises:
        UnsupportedTypeError: another kind of file, and the client says so too or its first bytes do.
        TooLargeError: more than `MAX_PIXELS`, found out before they are decoded.
        NotAnImageError: anything else that is no whole picture.
    """
    if not body:
        raise NotAnImageError("the file is empty; send a JPEG or PNG picture")
    found = next((kind for start, kind in _SIGNATURES.items() if body.startswith(start)), None)
    if found is None:
        if body.startswith((b"GIF8", b"BM", b"II*\0", b"MM\0*", b"%PDF")) or body[8:12] == b"WEBP":
            raise UnsupportedTypeError("this file is another format; only JPEG and PNG pictures are taken")
        if content_type not in (JPEG, PNG):
            raise UnsupportedTypeError(f"the file is sent as {content_type!r}; only image/jpeg and image/png are taken")
        raise NotAnImageError("the file is no picture: its first bytes are neither those of a JPEG nor of a PNG")
    try:
        picture = Image.open(io.BytesIO(body), formats=("JPEG", "PNG"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(f"the picture has too many pixels; at most {MAX_PIXELS:,} are taken") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise NotAnImageError("the file begins like a picture but can't be read; it may be damaged") from error
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width} x {picture.height}"
        raise TooLargeError(f"the picture has {size} pixels; at most {MAX_PIXELS:,} are taken")
    try:
        picture.draft(None, (_LOADED_SIDE, _LOADED_SIDE))
        picture.load()
        return _upright(picture)
    except (OSError, ValueError, SyntaxError, EOFError, zlib.error, struct.error) as error:
        raise NotAnImageError("the picture is damaged or cut off; it can't be read to its end") from error


def _upright(picture: Image.Image) -> Image.Image:
    """Small, RGB, transparent parts white, turned as the camera was held."""
    if picture.mode in ("PA", "P", "LA"):
        picture = picture.convert("RGBA")
    turned = ImageOps.exif_transpose(picture)
    small = turned.reduce(max(1, min(turned.size) // _LOADED_SIDE))
    if small.mode == "RGBA":
        small = Image.alpha_composite(Image.new("RGBA", small.size, "white"), small)
    return small.convert("RGB")
