"""Remembers a few looks at the totals, since a rate needs two; taken only when someone looks, so others pay nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from sidecar.bridge.model import Attributes, ExponentialValue, Family, HistogramValue, SummaryValue
from sidecar.page.quantiles import EMPTY, explicit, since, total
from sidecar.semconv import Metric

Number: TypeAlias = int | float
Key: TypeAlias = tuple[str, Attributes]

#: Seconds that rates look back: as wished, at most, and at least. Services export every 5 s by default, so a shorter
#: window would see one export or three where there were two.
WINDOW_S: Final = 60.0
_MAX_WINDOW_S: Final = 90.0
_MIN_WINDOW_S: Final = 15.0
_APART_S: Final = 10.0
#: A sparkline: at most so many points, at least so many seconds apart.
_POINTS: Final = 150
_POINTS_APART_S: Final = 6.0


@dataclass(frozen=True, slots=True)
class Reading:
    """The totals of some metrics at one moment, or between two.

    Attributes:
        numbers: counters and gauges by metric name and attributes.
        histograms: likewise; exponential ones with explicit boundaries.
    """

    numbers: Mapping[Key, Number] = field(default_factory=dict)
    histograms: Mapping[Key, HistogramValue] = field(default_factory=dict)

    def number(self, metric: Metric) -> Iterator[tuple[dict[str, str], Number]]:
        """(attributes, value) of every series of a metric that has numbers."""
        return ((dict(key[1]), value) for key, value in self.numbers.items() if key[0] == metric.name)

    def sum(self, metric: Metric) -> int:
        """All series of a metric that counts whole things, together."""
        return round(sum(value for _, value in self.number(metric)))

    def histogram(self, metric: Metric) -> Iterator[tuple[dict[str, str], HistogramValue]]:
        """(attributes, value) of every series of a histogram."""
        return ((dict(key[1]), value) for key, value in self.histograms.items() if key[0] == metric.name)

    def since(self, before: Reading) -> Reading:
        """What was added since an earlier reading; a total that is smaller than before began anew."""
        numbers = {
            key: value - old if (old := before.numbers.get(key, 0)) <= value else value
            for key, value in self.numbers.items()
        }
        histograms = {key: since(value, before.histograms.get(key)) for key, value in self.histograms.items()}
        return Reading(numbers, histograms)


def read(families: Iterable[Family], metrics: frozenset[str]) -> Reading:
    """The named metrics out of the bridge's families."""
    numbers: dict[Key, Number] = {}
    histograms: dict[Key, HistogramValue] = {}
    for family in families:
        if family.name not in metrics:
            continue
        for series in family.series:
            # Two scopes may have a metric of one name; the page shows them together.
            key = (family.name, series.attributes)
            match series.value:
                case HistogramValue() as value:
                    histograms[key] = total((histograms.get(key, EMPTY), value))
                case ExponentialValue() as value:
                    histograms[key] = total((histograms.get(key, EMPTY), explicit(value)))
                case SummaryValue():
                    continue
                case number:
                    numbers[key] = numbers.get(key, 0) + number
    return Reading(numbers, histograms)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look keeps: when (seconds of a monotonic clock), the totals, and items received by signal."""

    at_s: float
    totals: Reading
    received: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the sparklines: totals of all requests."""

    at_s: float
    requests: int
    errors: int
    duration: HistogramValue


class History:
    """A few looks of the last minute and a thin line of the last minutes; bounded whoever looks how often."""

    def __init__(self) -> None:
        self._looks: deque[Look] = deque()
        self._points: deque[Point] = deque(maxlen=_POINTS)

    def base(self, now: Look) -> Look | None:
        """The look that rates are measured against: the oldest of the last 90 s; None at first."""
        while len(self._looks) > 1 and now.at_s - self._looks[1].at_s >= WINDOW_S:
            self._looks.popleft()
        chosen = next((look for look in self._looks if now.at_s - look.at_s <= _MAX_WINDOW_S), None)
        if not self._looks or now.at_s - self._looks[-1].at_s >= _APART_S:
            self._looks.append(now)
        return chosen if chosen and now.at_s - chosen.at_s >= _MIN_WINDOW_S else None

    def line(self, point: Point) -> tuple[Point, ...]:
        """The points so far, this one included."""
        if not self._points or point.at_s - self._points[-1].at_s >= _POINTS_APART_S:
            self._points.append(point)
        return tuple(self._points)
