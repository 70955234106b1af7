"""What is kept of a worker that was added up for good: in few bytes, enough to go on exactly when it comes back.

A counter takes some 50 bytes here instead of a kilobyte of objects: a digest of its attributes, its start times and the
last values. When even that is too much, the oldest are given up; `Store` then counts what returns from its first value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from sidecar.bridge.entries import LASTING, Entry, StreamKey, StreamName, Worker, digest
from sidecar.bridge.model import Attributes
from sidecar.bridge.records import SavedCumulative, SavedDelta, load_stream, save_stream
from sidecar.bridge.streams import Cumulative, Delta
from sidecar.bridge.workers import Rhythm

#: Rough cost of a worker, and of each of its metrics, beside the bytes that are counted.
_WORKER_BYTES, _METRIC_BYTES = 500, 150


class _Resting(Struct, frozen=True, array_like=True):
    """A stream: the digest of its attributes and what it would need to know."""

    name: bytes
    stream: SavedCumulative | SavedDelta


_DECODER = msgspec.msgpack.Decoder(list[_Resting])


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One worker.

    Attributes:
        rhythm: when it exported.
        shared: as in `Worker`.
        ghost: as in `Worker`.
        streams: its counting streams, packed, by metric.
    """

    rhythm: Rhythm
    shared: bool
    ghost: bool
    streams: dict[StreamKey, bytes]

    def waking(self, key: StreamKey) -> Iterator[tuple[bytes, Cumulative | Delta]]:
        """The streams of a metric by the digest of their attributes; each counts on from what it was added up with."""
        for resting in _DECODER.decode(self.streams[key]):
            stream = load_stream(resting.stream)
            stream.settle()
            yield resting.name, stream


class Tombstones:
    """As many as a bound in bytes allows, the newest."""

    def __init__(self, max_bytes: int, max_workers: int) -> None:
        self.held: dict[Attributes, Tombstone] = {}  # oldest first
        self.size = 0
        self._max_bytes = max_bytes
        self._max_workers = max_workers

    def bury(self, worker: Worker) -> list[tuple[Attributes, Tombstone]]:
        """Keeps what the worker would need; returns those that have to be given up for it."""
        streams = {
            key: packed
            for key, held in worker.entries.items()
            if key[0].kind in LASTING and (packed := _pack(held)) is not None
        }
        return self.keep(worker.identity, Tombstone(worker.rhythm, worker.shared, worker.ghost, streams))

    def keep(self, identity: Attributes, tombstone: Tombstone) -> list[tuple[Attributes, Tombstone]]:
        """Takes one as it is; returns those that have to be given up for it."""
        self.held[identity] = tombstone
        self.size += _size(identity, tombstone)
        given_up = []
        while self.held and (self.size > self._max_bytes or len(self.held) > self._max_workers):
            oldest = next(iter(self.held))
            given_up.append((oldest, self.held[oldest]))
            self.wake(oldest)
        return given_up

    def wake(self, identity: Attributes) -> Tombstone | None:
        """Takes one out."""
        tombstone = self.held.pop(identity, None)
        if tombstone is not None:
            self.size -= _size(identity, tombstone)
        return tombstone


def _pack(held: Mapping[StreamName, Entry]) -> bytes | None:
    resting = [
        _Resting(name if isinstance(name, bytes) else digest(name), save_stream(entry.stream))
        for name, entry in held.items()
        if isinstance(entry.stream, Cumulative | Delta)
    ]
    return msgspec.msgpack.encode(resting) if resting else None


def _size(identity: Attributes, tombstone: Tombstone) -> int:
    text = sum(len(key) + len(value) for key, value in identity)
    return _WORKER_BYTES + text + sum(_METRIC_BYTES + len(packed) for packed in tombstone.streams.values())
