"""The state file: what Prometheus has seen is on disk before Prometheus sees it.

Written to a temporary file and renamed, so that a reader finds the old or the new state, never half of one. There is no
fsync: a SIGKILL of the sidecar loses nothing that was written, and when the whole node loses power the pod's processes
and their totals are gone with it, while an fsync on a busy node can take longer than a scrape's timeout.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import weakref
from pathlib import Path

import msgspec

from sidecar.bridge.snapshot import Snapshot

if sys.platform == "win32":

    def _lock(descriptor: int) -> None:
        """There is no lock there that ends with its process."""
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        """Takes the lock; BlockingIOError when another holds it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


NAME = "bridge.state"
LOCK = "bridge.lock"
_MAGIC = b"otel-sidecar bridge state\n"
_DIGEST = 16


class StateError(OSError):
    """The state directory cannot be used; said at start, with the path and the reason."""


class DamagedStateError(ValueError):
    """The file is not a state that was written here."""


class StateFile:
    """Reads and writes the state in one directory, which is its own until `close` or the end of the process.

    Two sidecars that write one file in turn would each throw the other's totals away.

    Raises:
        StateError: the directory cannot be made or written, or another sidecar uses it.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / NAME
        self._temporary = directory / f"{NAME}.tmp"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._unlock = _locked(directory, self)
            self._temporary.write_bytes(b"")
            self._temporary.unlink()
        except StateError:
            raise
        except OSError as error:
            raise StateError(f"state directory {directory}: {error.strerror or error}") from error

    def close(self) -> None:
        """Leaves the directory to the next."""
        self._unlock()

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


def _locked(directory: Path, owner: object) -> weakref.finalize[[int], object]:
    """Locks the directory; what is returned unlocks it, at the latest when the owner is gone."""
    # The file stays: were it removed, two could hold locks on two files of this name.
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    unlock = weakref.finalize(owner, os.close, descriptor)
    try:
        _lock(descriptor)
    except BlockingIOError:
        unlock()
        raise StateError(f"state directory {directory} is in use by another sidecar") from None
    except OSError:
        pass  # some network file systems know no locks; without one the state is as good as it was
    return unlock
