"""Undoes a request's compression within the limit, so that a bomb costs no more than a large body does."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from sidecar.receive.errors import MalformedError, TooLargeError, UnsupportedError

_CHUNK = 1 << 16
# Both libraries copy what they have not used of their input, so it is given to them in small pieces: whole bodies would
# be copied once for every chunk that comes out, and for every member.
_STEP = 1 << 14
# A member can be 20 bytes that mean nothing; senders make one.
_MAX_MEMBERS = 10_000
# A zstd block is at least 4 bytes and makes at most 128 KiB, so this much input overshoots by 16 MiB at worst.
_ZSTD_STEP = 512
_ZSTD_MIN_WINDOW = 8 << 20  # RFC 8878 §3.1.1.1.2: what every decoder should support


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its content-encoding (`gzip`, `deflate`, `zstd`, `identity` or empty), at most `limit` bytes.

    Raises:
        UnsupportedError: another encoding, or several.
        MalformedError: damaged or truncated data.
        TooLargeError: more than `limit` bytes come out.
    """
    name = encoding.strip().lower()
    decompress = _DECOMPRESSORS.get(name)
    if decompress is None:
        raise UnsupportedError(f"content-encoding {encoding!r} is not one of {', '.join(ENCODINGS)}")
    return decompress(body, limit)


def _identity(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise TooLargeError(f"the body of {len(body)} bytes is larger than the limit of {limit} bytes")
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    return _members(body, limit, "gzip", zlib.MAX_WBITS | 16)


def _deflate(body: bytes, limit: int) -> bytes:
    # RFC 9110 §8.4.1.2 means the zlib format, but some senders leave its two-byte header out.
    has_header = len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return _members(body, limit, "deflate", zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)


def _members(body: bytes, limit: int, name: str, wbits: int) -> bytes:
    output = _Output(limit)
    position = 0
    try:
        for _ in range(_MAX_MEMBERS):
            position = _member(body, position, zlib.decompressobj(wbits), output)
            if position < 0:
                raise MalformedError(f"{name} data of {len(body)} bytes ends too early")
            if position == len(body):
                return output.joined()
            if name != "gzip":
                raise MalformedError(f"{len(body) - position} bytes follow the end of the {name} data")
    except zlib.error as error:
        raise MalformedError(f"{name} data is damaged: {error}") from error
    raise _too_many("gzip members")


def _member(body: bytes, position: int, member: zlib._Decompress, output: _Output) -> int:
    """Where the member that begins at `position` ends; -1 when the body ends inside it."""
    while not member.eof and position < len(body):
        data = body[position : position + _STEP]
        position += len(data)
        while True:
            chunk = member.decompress(data, _CHUNK)
            output.add(chunk)
            data = member.unconsumed_tail
            if not data and len(chunk) < _CHUNK:
                break
    return position - len(member.unused_data) if member.eof else -1


def _zstd(body: bytes, limit: int) -> bytes:
    import zstandard

    output = _Output(limit)
    decompressor = zstandard.ZstdDecompressor(max_window_size=max(limit, _ZSTD_MIN_WINDOW))
    frames = 1
    try:
        frame = decompressor.decompressobj(write_size=_CHUNK)
        for start in range(0, len(body), _ZSTD_STEP):
            data = body[start : start + _ZSTD_STEP]
            while data:
                if frame.eof:
                    frames += 1
                    if frames > _MAX_MEMBERS:
                        raise _too_many("zstd frames")
                    frame = decompressor.decompressobj(write_size=_CHUNK)
                output.add(frame.decompress(data))
                data = frame.unused_data if frame.eof else b""
    except zstandard.ZstdError as error:
        raise MalformedError(f"zstd data is damaged: {error}") from error
    if not frame.eof:
        raise MalformedError(f"zstd data of {len(body)} bytes ends too early")
    return output.joined()


def _too_many(what: str) -> MalformedError:
    return MalformedError(f"more than {_MAX_MEMBERS} {what}: one is enough")


class _Output:
    """Chunks that together stay within the limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._chunks: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limit:
            raise TooLargeError(f"the body is larger than the limit of {self._limit} bytes once decompressed")
        if chunk:
            self._chunks.append(chunk)

    def joined(self) -> bytes:
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


_DECOMPRESSORS: dict[str, Callable[[bytes, int], bytes]] = {
    "": _identity,
    "identity": _identity,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
#: What Accept-Encoding tells a sender.
ENCODINGS = ("gzip", "deflate", "zstd", "identity")
