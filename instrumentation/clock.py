"""Where the time of requests and predictions comes from: one place, so that a test can stop it (`testing.capture`)."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Two sources of nanoseconds.

    Attributes:
        monotonic_ns: never goes back; durations are its differences.
        wall_ns: since 1970; spans begin at it.
    """

    __slots__ = ("monotonic_ns", "wall_ns")

    def __init__(self) -> None:
        self.monotonic_ns: Callable[[], int] = time.perf_counter_ns
        self.wall_ns: Callable[[], int] = time.time_ns


clock = Clock()
