"""Replies are as small as the scraper can read them."""

from __future__ import annotations

import gzip

import pytest
import zstandard

from sidecar.bridge.compress import Coding, compress, preferred

BODY = b"http_requests_total 1\n" * 500


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Coding.IDENTITY),
        ("gzip", Coding.GZIP),
        ("gzip, deflate, br", Coding.GZIP),
        ("x-gzip", Coding.GZIP),
        ("zstd,gzip", Coding.ZSTD),
        ("gzip, zstd", Coding.ZSTD),
        ("gzip;q=1.0, zstd;q=0.5", Coding.GZIP),
        ("GZIP; Q=0.5", Coding.GZIP),
        ("gzip;q=0", Coding.IDENTITY),
        ("gzip;q=0, *", Coding.ZSTD),
        ("*", Coding.ZSTD),
        ("*;q=0", Coding.IDENTITY),
        ("identity, gzip;q=0.5", Coding.IDENTITY),
        ("identity;q=0, gzip;q=0.1", Coding.GZIP),
        ("identity;q=0", Coding.IDENTITY),
        ("deflate, br", Coding.IDENTITY),
        ("gzip;q=high", Coding.IDENTITY),
        (",;,", Coding.IDENTITY),
    ],
)
def test_the_header_decides(accept: str, expected: Coding) -> None:
    assert preferred(accept) is expected


def test_every_coding_gives_the_body_back() -> None:
    assert compress(BODY, Coding.IDENTITY) is BODY
    assert gzip.decompress(compress(BODY, Coding.GZIP)) == BODY
    assert zstandard.ZstdDecompressor().decompress(compress(BODY, Coding.ZSTD)) == BODY


def test_the_same_body_gives_the_same_bytes() -> None:
    """No time of writing in gzip's header, so caches and tests can compare."""
    assert compress(BODY, Coding.GZIP) == compress(BODY, Coding.GZIP)
