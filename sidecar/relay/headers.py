"""Headers for targets, whose secrets may be in files that somebody rotates while we run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sidecar.options import OptionError, either
from sidecar.values import Header


class Headers:
    """The headers of every request; files are read again once their time of change differs."""

    def __init__(self, headers: Sequence[Header]) -> None:
        """Raises OptionError when a file can't be read now."""
        self._headers = headers
        self._read: dict[str, tuple[int, str]] = {}
        for header in headers:
            if header.file:
                try:
                    self._read_file(header.file)
                except (OSError, ValueError) as error:
                    raise OptionError(f"{either('forward-header')} {header.name}=@{header.file}: {error}") from error

    def current(self) -> list[tuple[str, str]]:
        """Names and values; a file that can't be read any more keeps its last value."""
        return [(header.name, self._current(header.file) if header.file else header.value) for header in self._headers]

    def _current(self, file: str) -> str:
        try:
            if Path(file).stat().st_mtime_ns != self._read[file][0]:
                self._read_file(file)
        except (OSError, ValueError):
            pass  # in the middle of a rotation; the target tells when the old value has become wrong
        return self._read[file][1]

    def _read_file(self, file: str) -> None:
        changed = Path(file).stat().st_mtime_ns
        value = Path(file).read_text(encoding="utf-8").strip()
        if not value or not value.isprintable():
            raise ValueError("the file must hold one line of text")
        self._read[file] = (changed, value)
