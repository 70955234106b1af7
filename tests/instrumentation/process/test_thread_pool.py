"""The thread pool of `def` endpoints is seen full, and those that wait for it."""

from __future__ import annotations

import threading

import anyio
import anyio.lowlevel
from anyio import to_thread

from instrumentation.process.thread_pool import ThreadPools
from tests.support.own_meter import Metrics


def read(metrics: Metrics[ThreadPools]) -> tuple[float, ...]:
    names = ("thread_pool.active", "thread_pool.limit", "thread_pool.queue.length")
    found = metrics.read()
    points = [point for name in names for point in found[name]]
    assert [dict(point.attributes) for point in points] == [{"thread_pool.name": "anyio"}] * 3
    return tuple(point.value for point in points)


def test_threads_at_work_and_calls_that_wait_are_counted() -> None:
    """Two threads, three calls: two at work, one waits; then none."""
    metrics = Metrics(ThreadPools)
    pools = metrics.made
    seen: list[tuple[float, ...]] = []

    async def run() -> None:
        pools.find()
        pools.find()
        limiter = to_thread.current_default_thread_limiter()
        limiter.total_tokens = 2
        stop = threading.Event()

        async def wait() -> None:
            await to_thread.run_sync(stop.wait)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(wait)
            while limiter.statistics().tasks_waiting < 1:
                await anyio.lowlevel.checkpoint()
            seen.append(read(metrics))
            stop.set()
        seen.append(read(metrics))

    anyio.run(run)
    assert seen == [(2, 2, 1), (0, 2, 0)]


def test_before_any_loop_there_is_nothing_to_tell() -> None:
    """No zero that nobody measured."""
    assert Metrics(ThreadPools).read() == {}
