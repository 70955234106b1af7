"""A late event loop is measured, and what blocks it is named."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from instrumentation.process.event_loop import BEAT_S, BlockedReports, LoopWatch, loop_instruments
from tests.support.memory import Point
from tests.support.own_meter import Metrics

THRESHOLD_S = 0.05


class Loop:
    """A watched loop with its metrics; `clock` is what bounds the log."""

    def __init__(self) -> None:
        self.now = 0.0
        metrics = Metrics(lambda meter: loop_instruments(meter, {}))
        self.metrics = metrics
        instruments = metrics.made
        self.reports = BlockedReports(instruments.blocked, lambda: self.now)
        self.watch = LoopWatch(instruments.lag, self.reports, THRESHOLD_S)

    def run(self, *blocking: Callable[[], None]) -> None:
        async def run() -> None:
            self.watch.start()
            for block in blocking:
                await asyncio.sleep(0)
                block()
                # The heart beats again before the next one.
                beats = self.lags()
                while self.lags() == beats:  # noqa: ASYNC110 - the heart has no event to wait for
                    await asyncio.sleep(0.01)
            self.watch.stop()

        asyncio.run(run())

    def lags(self) -> int:
        return sum(point.count for point in self.metrics.read().get("asyncio.event_loop.lag", []))

    def longest_s(self) -> float:
        return sum((point.value for point in self.metrics.read()["asyncio.event_loop.lag"]), 0.0)

    def functions(self) -> set[str]:
        return {point.attributes["code.function.name"] for point in self.blocked()}

    def blocked(self) -> list[Point]:
        return self.metrics.read().get("asyncio.event_loop.blocked", [])


def compute() -> None:
    end = time.monotonic() + BEAT_S + 6 * THRESHOLD_S
    while time.monotonic() < end:
        pass


def sleep() -> None:
    time.sleep(BEAT_S + 6 * THRESHOLD_S)


def rest() -> None:
    pass


def test_a_loop_at_rest_is_in_time() -> None:
    """Its lag is small, and nothing is reported."""
    loop = Loop()
    loop.run(rest, rest)
    assert loop.lags() >= 2
    assert loop.blocked() == []


@pytest.mark.parametrize("block", [compute, sleep])
def test_what_blocks_the_loop_is_named_while_it_does(
    block: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The function as an attribute, the stack in the log, the whole time as lag."""
    loop = Loop()
    with caplog.at_level(logging.WARNING, "instrumentation"):
        loop.run(block)
    (point,) = loop.blocked()
    assert point.attributes["code.function.name"].endswith(f".{block.__qualname__}")
    assert point.value == 1
    assert loop.longest_s() >= 5 * THRESHOLD_S
    (line,) = caplog.messages
    assert line.startswith("the event loop is blocked for 0.")
    assert f"in {block.__name__}\n" in line


def test_the_log_has_one_stack_a_minute_and_the_metric_all(caplog: pytest.LogCaptureFixture) -> None:
    """The next line tells how many there were."""
    loop = Loop()
    with caplog.at_level(logging.WARNING, "instrumentation"):
        loop.run(compute, sleep)
        assert len(caplog.messages) == 1
        loop.now = 61
        loop.watch = LoopWatch(loop.watch._lag, loop.reports, THRESHOLD_S)
        loop.run(compute)
    assert [point.value for point in sorted(loop.blocked(), key=lambda point: str(point.attributes))] == [2, 1]
    assert "(2 time(s) since" in caplog.messages[1]


@contextmanager
def thread_in(function: Callable[[], object]) -> Iterator[int]:
    thread = threading.Thread(target=function)
    thread.start()
    assert thread.ident is not None
    yield thread.ident
    thread.join()


def test_functions_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """They are labels: after thirty of them the rest is one."""
    loop = Loop()
    stop = threading.Event()
    space: dict[str, object] = {"stop": stop}
    for index in range(35):
        exec(f"def block{index}(): stop.wait()", space)  # noqa: S102 - a function of another name each
        waiting = space[f"block{index}"]
        assert callable(waiting)
        stop.clear()
        with thread_in(waiting) as thread_id:
            # Its stack is looked at again and again until it is in the function.
            while not any(name.endswith((f".block{index}", "other")) for name in loop.functions()):
                loop.reports.report(thread_id, 1.0)
            stop.set()
    assert "other" in loop.functions()
    assert len(loop.functions()) == 31


def test_a_closed_loop_ends_its_watchdog() -> None:
    """An application that never came to its end leaves no thread behind."""
    loop = Loop()

    async def begin_only() -> None:
        loop.watch.start()

    asyncio.run(begin_only())
    deadline = time.monotonic() + 5
    while any(thread.name == "otel-sidecar-loop" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
