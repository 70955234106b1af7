"""One line of ours between the lines of the service, for commands that run beside it."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Writes to standard error, so that the service's output stays its own."""
    sys.stderr.write(f"otel-sidecar run: {text}\n")
    sys.stderr.flush()
