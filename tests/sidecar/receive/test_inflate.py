"""Every encoding comes back as it was, nothing comes out larger than the limit, and errors say which it was."""

from __future__ import annotations

import gzip
import os
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.receive.errors import MalformedError, TooLargeError, UnsupportedError
from sidecar.receive.inflate import inflate


def _raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


ENCODERS: dict[str, list[Callable[[bytes], bytes]]] = {
    "identity": [bytes],
    "": [bytes],
    "gzip": [gzip.compress, lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:])],
    "deflate": [zlib.compress, _raw_deflate],
    "zstd": [zstandard.compress, lambda data: zstandard.compress(data[:7]) + zstandard.compress(data[7:])],
}
CASES = [(name, encoder) for name, encoders in ENCODERS.items() for encoder in encoders]
COMPRESSED = [case for case in CASES if case[0] not in {"", "identity"}]


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=300_000), st.sampled_from(CASES))
def test_round_trip_at_exactly_the_limit(data: bytes, case: tuple[str, Callable[[bytes], bytes]]) -> None:
    """Several gzip members and several zstd frames are one body."""
    encoding, encode = case
    assert inflate(encode(data), encoding.upper(), max(len(data), 1)) == data


@pytest.mark.parametrize(("encoding", "encode"), CASES)
def test_one_byte_above_the_limit_is_too_large(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    with pytest.raises(TooLargeError, match="limit of 999 bytes"):
        inflate(encode(b"x" * 1000), encoding, 999)


@pytest.mark.parametrize(("encoding", "encode"), COMPRESSED)
def test_a_bomb_is_stopped_at_the_limit(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    """Memory stays near the limit (zstd: plus the 16 MiB that one step can make), far from the 64 MiB inside."""
    bomb = encode(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError):
            inflate(bomb, encoding, 1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("encoding", "encode"), COMPRESSED)
def test_truncated_data_is_malformed(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    data = encode(bytes(range(256)) * 10)
    for size in (0, 1, 5, len(data) // 2, len(data) - 1):
        with pytest.raises(MalformedError):
            inflate(data[:size], encoding, 1 << 20)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "zstd"]))
def test_damaged_data_is_an_error_of_ours(data: bytes, encoding: str) -> None:
    with suppress(MalformedError, TooLargeError):
        assert isinstance(inflate(data, encoding, 1 << 20), bytes)


@pytest.mark.parametrize(("encoding", "encode"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
def test_members_without_end_are_malformed(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    """Each costs its sender a few bytes and the sidecar a decompressor."""
    assert inflate(encode(b"x") * 10_000, encoding, 10_000) == b"x" * 10_000
    with pytest.raises(MalformedError, match=f"^more than 10000 {encoding} (members|frames): one is enough$"):
        inflate(encode(b"") * 10_001, encoding, 10_000)


@pytest.mark.parametrize(
    ("encoding", "make"),
    [
        ("gzip", lambda: gzip.compress(os.urandom(32 << 20), 0)),
        ("zstd", lambda: zstandard.compress(os.urandom(32 << 20), 1)),
        ("gzip", lambda: gzip.compress(bytes(3000), 1) * 9_999),
    ],
    ids=["gzip", "zstd", "many members"],
)
def test_the_time_grows_with_the_body_and_not_with_its_square(encoding: str, make: Callable[[], bytes]) -> None:
    """The libraries copy what they have not used of their input: 32 MiB took 7 s when they were given all of it."""
    body = make()
    start = time.process_time()
    inflate(body, encoding, 32 << 20)
    assert time.process_time() - start < 2


def test_bytes_behind_the_end_are_malformed() -> None:
    with pytest.raises(MalformedError, match="3 bytes follow the end of the deflate data"):
        inflate(zlib.compress(b"data") + b"abc", "deflate", 100)
    with pytest.raises(MalformedError):
        inflate(gzip.compress(b"data") + b"abc", "gzip", 100)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "snappy"])
def test_other_encodings_are_named(encoding: str) -> None:
    with pytest.raises(UnsupportedError) as raised:
        inflate(b"", encoding, 100)
    assert str(raised.value) == f"content-encoding {encoding!r} is not one of gzip, deflate, zstd, identity"
