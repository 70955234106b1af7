"""How full the thread pool is that runs `def` endpoints: when it is, requests wait though the processor is idle.

Starlette and FastAPI use AnyIO's default limiter (40 threads) for it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

from opentelemetry.metrics import Meter

from instrumentation import semconv
from instrumentation.process.observe import Reading, observe

_ANYIO: Final = {semconv.THREAD_POOL_NAME: semconv.THREAD_POOL_NAME_ANYIO}


class ThreadPools:
    """AnyIO's limiters of this process: one for each event loop.

    Args:
        meter: where the metrics go.
    """

    def __init__(self, meter: Meter) -> None:
        self._limiters: weakref.WeakSet[Any] = weakref.WeakSet()
        observe(meter, semconv.THREAD_POOL_ACTIVE, lambda: self._sum(lambda limiter: limiter.borrowed_tokens))
        observe(meter, semconv.THREAD_POOL_LIMIT, lambda: self._sum(lambda limiter: limiter.total_tokens))
        observe(meter, semconv.THREAD_POOL_QUEUE_LENGTH, lambda: self._sum(_waiting))

    def find(self) -> None:
        """Takes the running event loop's limiter; without AnyIO there is none. Called in the loop."""
        try:
            from anyio import to_thread
        except ImportError:
            return
        self._limiters.add(to_thread.current_default_thread_limiter())

    def _sum(self, of: Callable[[Any], float]) -> Iterator[Reading]:
        if limiters := list(self._limiters):
            yield sum(of(limiter) for limiter in limiters), _ANYIO


def _waiting(limiter: Any) -> float:
    return float(limiter.statistics().tasks_waiting)
