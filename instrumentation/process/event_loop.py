"""How late the event loop is, and what blocks it: while a handler computes in it, every other request waits."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from opentelemetry.metrics import Counter, Histogram, Meter

from instrumentation import semconv
from instrumentation.guard import guard
from instrumentation.instruments import Buckets, counter, histogram
from instrumentation.process.blocking import culprit

# Not the guard's logger, which is never exported: what blocks a service is the service's concern.
logger = logging.getLogger("instrumentation.process")

# Seldom enough to cost next to nothing in an idle process; what blocks for this and the threshold is always seen.
BEAT_S: Final = 0.25
_SAY_AGAIN_AFTER_S: Final = 60.0
# Functions that have a series of their own; what blocks after these is counted together.
_FUNCTIONS: Final = 30
_OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class LoopInstruments:
    """The metrics of event loops."""

    lag: Histogram
    blocked: Counter


def loop_instruments(meter: Meter, buckets: Buckets) -> LoopInstruments:
    """Creates the metrics."""
    return LoopInstruments(
        lag=histogram(meter, semconv.ASYNCIO_EVENT_LOOP_LAG, buckets),
        blocked=counter(meter, semconv.ASYNCIO_EVENT_LOOP_BLOCKED),
    )


class BlockedReports:
    """Counts what blocks the loops of this process, and logs the stack at most once a minute."""

    def __init__(self, blocked: Counter, clock: Callable[[], float] = time.monotonic) -> None:
        self._blocked = blocked
        self._clock = clock
        self._said_at: float | None = None
        self._unsaid = 0
        self._functions: set[str] = set()

    def report(self, thread_id: int, late_s: float) -> None:
        """Looks at what the loop's thread is doing now."""
        frame = sys._current_frames().get(thread_id)  # noqa: SLF001 - how Python offers another thread's stack
        found = culprit(frame) if frame is not None else None
        # A frame keeps all its callers' variables alive.
        del frame
        if found is None:
            return
        known = found.function in self._functions or len(self._functions) < _FUNCTIONS
        function = found.function if known else _OTHER
        self._functions.add(function)
        self._blocked.add(1, {semconv.CODE_FUNCTION_NAME: function})
        self._unsaid += 1
        now = self._clock()
        if self._said_at is None or now - self._said_at >= _SAY_AGAIN_AFTER_S:
            logger.warning(
                "the event loop is blocked for %.2f s so far by %s (%d time(s) since the last such line); all requests "
                "of this process wait for it: run it in a thread, or in a `def` endpoint\n%s",
                late_s, found.function, self._unsaid, found.stack.rstrip(),
            )  # fmt: skip
            self._said_at, self._unsaid = now, 0


class LoopWatch:
    """The heartbeat of one event loop, and the thread that looks when it stays away.

    Args:
        lag: takes how late each beat is.
        reports: told when a beat is later than the threshold; once for each such time.
        threshold_s: seconds.
    """

    def __init__(self, lag: Histogram, reports: BlockedReports, threshold_s: float) -> None:
        self._lag = lag
        self._reports = reports
        self._threshold_s = threshold_s
        self._stop = threading.Event()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread_id = 0

    def start(self) -> None:
        """Begins; called in the loop."""
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._next()
        threading.Thread(target=self._watch, name="otel-sidecar-loop", daemon=True).start()

    def stop(self) -> None:
        """Ends; called in the loop."""
        self._stop.set()
        if self._timer is not None:
            self._timer.cancel()

    def _next(self) -> None:
        # Not the loop's own clock: uvloop's stands still while a callback runs.
        self._due = time.monotonic() + BEAT_S
        if self._loop is not None:
            self._timer = self._loop.call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        late = time.monotonic() - self._due
        if not self._stop.is_set():
            self._next()
        with guard:
            self._lag.record(max(0.0, late))

    def _watch(self) -> None:
        reported = 0.0
        wait = BEAT_S + self._threshold_s
        while not self._stop.wait(wait):
            due, now = self._due, time.monotonic()
            if self._loop is None or self._loop.is_closed():
                return
            wait = max(BEAT_S, due + self._threshold_s - now)
            # A beat that is under way has a new time due: only the one that was looked at counts, and once.
            if now - due >= self._threshold_s and due != reported:
                reported = due
                with guard:
                    self._reports.report(self._thread_id, now - due)
