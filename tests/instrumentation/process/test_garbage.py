"""Garbage collections are counted by the interpreter and their pauses by us, without an instrument being touched."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from opentelemetry.metrics import Meter

from instrumentation.process.garbage import Garbage
from tests.support.memory import only
from tests.support.own_meter import Metrics

made: list[Garbage] = []


def make_a_cycle() -> None:
    cycle: list[object] = []
    cycle.append(cycle)


def start(meter: Meter) -> Garbage:
    garbage = Garbage(meter, {})
    garbage.start()
    made.append(garbage)
    return garbage


@pytest.fixture
def metrics() -> Iterator[Metrics[Garbage]]:
    yield Metrics(start)
    made.pop().stop()


def test_a_collection_is_counted_with_what_it_found(metrics: Metrics[Garbage]) -> None:
    """By generation, as gc.get_stats() tells."""
    before = metrics.read()
    for _ in range(10):
        make_a_cycle()
    gc.collect()
    after = metrics.read()
    oldest = {"cpython__gc__generation": 2}
    collections = [only(found["cpython.gc.collections"], **oldest).value for found in (before, after)]
    assert collections[1] > collections[0]
    objects = [sum(point.value for point in found["cpython.gc.collected_objects"]) for found in (before, after)]
    assert objects[1] - objects[0] >= 10


def test_pauses_add_up_and_long_ones_are_seen_one_by_one(metrics: Metrics[Garbage]) -> None:
    """The total has every pause; the histogram those of 1 ms and more."""
    many = [[index] for index in range(400_000)]
    gc.collect()
    del many
    found = metrics.read()
    total = sum(point.value for point in found["cpython.gc.pause.time"])
    long = found["cpython.gc.pause.duration"]
    assert sum(point.count for point in long) >= 1
    assert 0.001 <= sum(point.value for point in long) <= total


def test_a_short_pause_is_in_the_total_alone(metrics: Metrics[Garbage]) -> None:
    """Thousands of them come in a second."""
    gc.collect()
    metrics.read()
    before = metrics.read()
    gc.collect(0)
    after = metrics.read()
    longs = [sum(p.count for p in found.get("cpython.gc.pause.duration", [])) for found in (before, after)]
    totals = [only(found["cpython.gc.pause.time"], cpython__gc__generation=0).value for found in (before, after)]
    assert totals[1] > totals[0]
    assert longs[0] == longs[1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_counts_from_zero(metrics: Metrics[Garbage]) -> None:
    """The interpreter's own totals go on there, and the parent has already told them."""
    for _ in range(20):
        gc.collect()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        garbage: Garbage = made[-1]
        told = sum(value for value, _ in garbage._stats("collections"))
        paused = sum(value for value, _ in garbage._take_pauses())
        os.write(writing, f"{told} {paused}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    told, paused = (float(number) for number in os.read(reading, 100).split())
    os.close(reading)
    os.close(writing)
    assert told < 20
    assert paused < 0.5
