"""A meter of one's own, for metrics that are made once for a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.support.memory import Point, points

Made = TypeVar("Made")


class Metrics(Generic[Made]):
    """What `register` registers, to be read as often as one likes; totals."""

    def __init__(self, register: Callable[[Meter], Made]) -> None:
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.made = register(self._provider.get_meter("test"))

    def read(self) -> dict[str, list[Point]]:
        return points(self._reader.get_metrics_data())


def collecting(register: Callable[[Meter], object]) -> dict[str, list[Point]]:
    """One look at what `register` registers."""
    return Metrics(register).read()
