"""The one fence between telemetry and the service: whatever goes wrong here is counted and said, never raised."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from types import TracebackType

logger = logging.getLogger("instrumentation")

_SAY_AGAIN_AFTER_S = 60.0


class Guard:
    """A re-usable context manager that swallows exceptions of telemetry code.

    It counts each failure in `failures` and logs the first, then at most one a minute with the number since. Under
    pytest it re-raises, so that a test run shows what production hides. `KeyboardInterrupt`, `SystemExit` and
    `asyncio.CancelledError` always pass.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back."""
        self.failures = 0
        self._clock = clock
        self._said_at: float | None = None
        self._unsaid = 0

    def __enter__(self) -> None:
        """Nothing to prepare: entering must cost nothing."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Takes an `Exception` away from the service."""
        if error is None or not isinstance(error, Exception):
            return False
        self.failures += 1
        self._unsaid += 1
        if "PYTEST_VERSION" in os.environ:
            return False
        now = self._clock()
        if self._said_at is None or now - self._said_at >= _SAY_AGAIN_AFTER_S:
            logger.warning("telemetry failed %d time(s), the service goes on", self._unsaid, exc_info=error)
            self._said_at, self._unsaid = now, 0
        return True


guard = Guard()
