"""The terminal shows where things are: renewed in place for a person, a line now and then for a log."""

from __future__ import annotations

import io
from typing import Any

from sidecar.demo.report import Report, progress_lines

LATENCY = {"p50": 0.009, "p95": 0.021, "p99": None, "mean": 0.01}
SUMMARY: dict[str, Any] = {
    "figures": {
        "requests": {"total": 300, "rate": 25.1, "latency": LATENCY, "client_errors": 0.06, "server_errors": 0.0},
        "models": [
            {
                "classes": [{"label": "cat", "total": 140}, {"label": "dog", "total": 131}],
                "confidence_mean": 0.88,
                "errors": 0.05,
                "stages": [{"name": "preprocess", "latency": LATENCY}],
            }
        ],
    }
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_words() -> None:
    """Rates, quantiles and classes in the page's words."""
    first, second = progress_lines(12.4, 312, SUMMARY)
    assert first == (
        "       12 s   312 requests sent, 300 on the page   25.1/s   "
        "p50 9 ms   p95 21 ms   p99 \N{EN DASH}   4xx 6 %   5xx 0 %"
    )
    assert second == "              cat 140   dog 131   confidence 88 %   failed 5 %   preprocess 9 ms"


def test_a_terminal_is_renewed_in_place() -> None:
    """The second progress takes the place of the first; lines said in between stay above it."""
    terminal = Terminal()
    report = Report(terminal)
    report.say("title")
    report.progress(1, 10, SUMMARY)
    report.progress(2, 20, SUMMARY)
    report.say("end")
    written = terminal.getvalue()
    assert written.count("\x1b[2A\x1b[J") == 2
    assert written.endswith("\x1b[2A\x1b[Jend\n")


def test_a_log_gets_a_line_every_five_seconds() -> None:
    """No control characters, and not a line for every look."""
    log = io.StringIO()
    report = Report(log)
    for second in range(1, 13):
        report.progress(second, second * 10, SUMMARY)
    lines = log.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["5", "10"]
    assert "\x1b" not in log.getvalue()
