"""The process's metrics are made once, and its event loops have a heart each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from instrumentation.process.telemetry import ProcessTelemetry
from tests.support.own_meter import Metrics

Process = Metrics[ProcessTelemetry]


@pytest.fixture
def process() -> Iterator[Process]:
    made = Metrics(lambda meter: ProcessTelemetry(meter, {"asyncio.event_loop.lag": (0.5,)}, 0.25))
    yield made
    made.made._garbage.stop()


def hearts() -> int:
    return sum(thread.name == "otel-sidecar-loop" for thread in threading.enumerate())


def test_everything_is_there_while_an_application_runs(process: Process) -> None:
    """Processor, memory, garbage, event loop, threads; boundaries as the service gave them."""

    async def run() -> set[str]:
        process.made.loop_started()
        while "asyncio.event_loop.lag" not in (found := process.read()):  # noqa: ASYNC110 - metrics tell nobody
            await asyncio.sleep(0.01)
        process.made.loop_stopped()
        assert found["asyncio.event_loop.lag"][0].boundaries == (0.5,)
        return set(found)

    assert asyncio.run(run()) >= {
        "process.cpu.time",
        "process.context_switches",
        "cpython.gc.collections",
        "cpython.gc.pause.time",
        "thread_pool.limit",
    }


def test_applications_of_one_loop_share_its_heart(process: Process) -> None:
    """It beats from the first one's start to the last one's end; an end without a start does nothing."""

    async def run() -> list[int]:
        seen = [hearts()]
        for step in (*[process.made.loop_started] * 2, *[process.made.loop_stopped] * 3):
            step()
            await asyncio.sleep(0)
            seen.append(len(process.made._watches))
        return seen

    assert asyncio.run(run()) == [0, 1, 1, 1, 0, 0]


def test_outside_of_asyncio_there_is_no_heart(process: Process) -> None:
    """A server that runs another library's loop is measured but for its lag."""
    process.made._pools.find = lambda: None  # type: ignore[method-assign] # needs some loop
    process.made.loop_started()
    process.made.loop_stopped()
    assert process.made._watches == {}
