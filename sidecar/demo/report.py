"""The demo's words on the terminal: lines that renew themselves, or one line now and then where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from sidecar.page import formats

_LINE_EVERY_S = 5.0


class Report:
    """Writes to a stream; on a terminal the progress is drawn over itself."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._drawn = 0
        self._next_line_s = _LINE_EVERY_S

    def say(self, *lines: str) -> None:
        """Lines that stay."""
        self._erase()
        for line in lines:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def progress(self, elapsed_s: float, sent: int, summary: Mapping[str, Any]) -> None:
        """Where things are; without a terminal only every few seconds."""
        lines = progress_lines(elapsed_s, sent, summary)
        if self._live:
            self._erase()
            self._stream.write("\n".join(lines) + "\n")
            self._drawn = len(lines)
            self._stream.flush()
        elif elapsed_s >= self._next_line_s:
            self._next_line_s = elapsed_s + _LINE_EVERY_S
            self.say(" · ".join(line.strip() for line in lines))

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(f"\x1b[{self._drawn}A\x1b[J")
            self._drawn = 0


def progress_lines(elapsed_s: float, sent: int, summary: Mapping[str, Any]) -> Sequence[str]:
    """The progress in words, from the sidecar's /api/summary."""
    figures = summary["figures"]
    requests = figures["requests"]
    first = (
        f"  {formats.duration(round(elapsed_s)):>9}   {sent:,} requests sent, {requests['total']:,} on the page",
        formats.rate(requests["rate"]),
        *(f"{name} {formats.duration(requests['latency'][name])}" for name in ("p50", "p95", "p99")),
        f"4xx {formats.percent(requests['client_errors'])}",
        f"5xx {formats.percent(requests['server_errors'])}",
    )
    lines = ["   ".join(first)]
    for model in figures["models"]:
        more = (
            *(f"{row['label']} {row['total']:,}" for row in model["classes"]),
            f"confidence {formats.percent(model['confidence_mean'])}",
            f"failed {formats.percent(model['errors'])}",
            *(f"{row['name']} {formats.duration(row['latency']['p50'])}" for row in model["stages"]),
        )
        lines.append("              " + "   ".join(more))
    return lines
