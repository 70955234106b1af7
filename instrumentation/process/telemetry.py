"""Puts the process's metrics together: made once with the providers, told when an event loop begins and ends."""

from __future__ import annotations

import asyncio

from opentelemetry.metrics import Meter

from instrumentation.instruments import Buckets
from instrumentation.process.event_loop import BlockedReports, LoopWatch, loop_instruments
from instrumentation.process.garbage import Garbage
from instrumentation.process.gpu import observe_gpus
from instrumentation.process.thread_pool import ThreadPools
from instrumentation.process.usage import observe_usage


class ProcessTelemetry:
    """The metrics of this process.

    Args:
        meter: where they go.
        buckets: boundaries that replace the registry's, by metric name.
        loop_blocked_s: seconds from which on a blocked event loop is reported.
    """

    def __init__(self, meter: Meter, buckets: Buckets, loop_blocked_s: float) -> None:
        observe_usage(meter)
        observe_gpus(meter)
        self._garbage = Garbage(meter, buckets)
        self._garbage.start()
        self._pools = ThreadPools(meter)
        self._instruments = loop_instruments(meter, buckets)
        self._reports = BlockedReports(self._instruments.blocked)
        self._loop_blocked_s = loop_blocked_s
        # Several applications may live in one loop: it has one heart, from the first one's start to the last one's end.
        self._watches: dict[asyncio.AbstractEventLoop, tuple[LoopWatch, int]] = {}

    def loop_started(self) -> None:
        """An application's life begins in the running event loop (another library's than asyncio has no heart)."""
        self._pools.find()
        if (loop := _loop()) is None:
            return
        watch, applications = self._watches.get(loop, (None, 0))
        if watch is None:
            watch = LoopWatch(self._instruments.lag, self._reports, self._loop_blocked_s)
            watch.start()
        self._watches[loop] = (watch, applications + 1)

    def loop_stopped(self) -> None:
        """It ends."""
        if (loop := _loop()) is None or loop not in self._watches:
            return
        watch, applications = self._watches.pop(loop)
        if applications > 1:
            self._watches[loop] = (watch, applications - 1)
        else:
            watch.stop()


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
