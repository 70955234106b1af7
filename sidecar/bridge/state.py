"""The state file: what Prometheus has seen is on disk before Prometheus sees it.

Written to a temporary file and renamed, so that a reader finds the old or the new state, never half of one. There is no
fsync: a SIGKILL of the sidecar loses nothing that was written, and when the whole node loses power the pod's processes
and their totals are gone with it, while an fsync on a busy node can take longer than a scrape's timeout.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import msgspec

from sidecar.bridge.snapshot import Snapshot

NAME = "bridge.state"
_MAGIC = b"otel-sidecar bridge state\n"
_DIGEST = 16


class StateError(OSError):
    """The state directory cannot be used; said at start, with the path and the reason."""


class DamagedStateError(ValueError):
    """The file is not a state that was written here."""


class StateFile:
    """Reads and writes the state in one directory.

    Raises:
        StateError: the directory cannot be made or written.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        self._temporary = directory / f"{NAME}.tmp"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._temporary.write_bytes(b"")
            self._temporary.unlink()
        except OSError as error:
            raise StateError(f"state directory {directory}: {error.strerror or error}") from error

    def load(self) -> Snapshot | None:
        """The saved state; None when there is none.

        Raises:
            DamagedStateError: a file is there and is no state; `set_aside` moves it out of the way.
            StateError: the file cannot be read.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"state file {self.path}: {error.strerror or error}") from error
        header = len(_MAGIC) + _DIGEST
        if not data.startswith(_MAGIC) or len(data) < header:
            raise DamagedStateError(f"{len(data)} bytes that do not begin like a state file")
        body = data[header:]
        if _checksum(body) != data[len(_MAGIC) : header]:
            raise DamagedStateError("the checksum does not fit the content")
        try:
            return msgspec.msgpack.decode(body, type=Snapshot)
        except msgspec.MsgspecError as error:
            raise DamagedStateError(f"written by another version: {error}") from error

    def set_aside(self) -> Path:
        """Renames a damaged file, so that it can be looked at and is not in the way; returns its new path."""
        aside = self.path.with_name(f"{NAME}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
        number = 0
        while aside.exists():
            number += 1
            aside = aside.with_name(f"{aside.name.partition('.n')[0]}.n{number}")
        try:
            self.path.rename(aside)
        except OSError as error:
            raise StateError(f"state file {self.path}: {error.strerror or error}") from error
        return aside

    def save(self, snapshot: Snapshot) -> int:
        """Replaces the state; returns its size in bytes.

        Raises:
            OSError: it could not be written; the old state is still there.
        """
        body = msgspec.msgpack.encode(snapshot)
        data = _MAGIC + _checksum(body) + body
        self._temporary.write_bytes(data)
        self._temporary.replace(self.path)
        return len(data)


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST).digest()
