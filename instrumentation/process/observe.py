"""Instruments that are asked at each export, so that they cost nothing in between and are right in a forked child."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.util.types import AttributeValue

from instrumentation.guard import guard
from instrumentation.semconv import Metric

Reading = tuple[float, Mapping[str, AttributeValue]]
NO_ATTRIBUTES: Final[Mapping[str, AttributeValue]] = {}


def observe(meter: Meter, metric: Metric, read: Callable[[], Iterable[Reading]]) -> None:
    """Registers `read`, which gives values with their attributes, for a metric of the registry.

    A reading that fails leaves out the point, counted and said by the guard.
    """

    def callback(_: CallbackOptions) -> Iterable[Observation]:
        with guard:
            return [Observation(value, attributes) for value, attributes in read()]
        return []

    create = {
        "counter": meter.create_observable_counter,
        "updowncounter": meter.create_observable_up_down_counter,
        "gauge": meter.create_observable_gauge,
    }[metric.instrument]
    create(metric.name, [callback], metric.unit, metric.brief)
