"""One look at the pod: metrics, traces, the ledger and what needs attention, as frozen data for page and JSON."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sidecar.bridge import Bridge, BridgeStats
from sidecar.bridge.model import Attributes, Family
from sidecar.ledger import Snapshot
from sidecar.page.figures import METRICS, Figures, figures, overall
from sidecar.page.notices import Notice, notices
from sidecar.page.quantiles import quantile, since
from sidecar.page.readings import History, Look, Point, read
from sidecar.recent import Recent, RecentStats

#: Seconds that a look is good for.
_SHARED_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One step of the sparklines: until `ago_s` seconds ago, requests and failed ones per second, p95 in seconds."""

    ago_s: float
    rate: float
    errors: float
    p95: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What the page shows.

    Attributes:
        at_ns: when, nanoseconds since the epoch.
        service: `service.name` that the workers share, or empty before any told.
        version: `service.version`, likewise.
        resource: all attributes that the workers share.
        notices: what needs attention, the worst first.
        figures: from metrics.
        trend: the last minutes, oldest first; only while someone looks.
        bridge: the merge's own counts.
        recent: the ring's own counts.
        ledger: what became of everything received.
    """

    at_ns: int
    service: str
    version: str
    resource: Attributes
    notices: tuple[Notice, ...]
    figures: Figures
    trend: tuple[TrendPoint, ...]
    bridge: BridgeStats
    recent: RecentStats
    ledger: Snapshot


class Looker:
    """Looks at the rooms and remembers a little, for rates; viewers who look at the same time share one look."""

    def __init__(
        self,
        bridge: Bridge,
        recent: Recent,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bridge, self._recent = bridge, recent
        self._now_ns, self._monotonic_s = now_ns, monotonic_s
        self._history = History()
        self._lock = threading.Lock()
        self._last: tuple[float, Summary] | None = None

    def look(self, books: Snapshot) -> Summary:
        """The pod now, from any thread; `books` is the ledger's snapshot, which only its own thread may take."""
        with self._lock:
            at_s = self._monotonic_s()
            if self._last is None or at_s - self._last[0] >= _SHARED_S:
                self._last = at_s, self._look(at_s, books)
            return self._last[1]

    def _look(self, at_s: float, books: Snapshot) -> Summary:
        families = self._bridge.families()
        received = {str(row.signal): row.received for row in books.rows}
        now = Look(at_s, read(families, METRICS), received)
        base = self._history.base(now)
        at_ns = self._now_ns()
        if base:
            window_s = now.at_s - base.at_s
            shown = figures(now.totals, now.totals.since(base.totals), window_s, since_start=False)
        else:
            shown = figures(now.totals, now.totals, _age_s(families, at_ns), since_start=True)
        resource = self._bridge.resource()
        told = dict(resource)
        stats = self._bridge.stats()
        silent = base is not None and bool(received) and base.received == received
        return Summary(
            at_ns=at_ns,
            service=told.get("service.name", ""),
            version=told.get("service.version", ""),
            resource=resource,
            notices=notices(shown, books, stats, silent_s=shown.window_s if silent else 0.0),
            figures=shown,
            trend=self._trend(now),
            bridge=stats,
            recent=self._recent.stats(),
            ledger=books,
        )

    def _trend(self, now: Look) -> tuple[TrendPoint, ...]:
        points = self._history.line(Point(now.at_s, *overall(now.totals)))
        trend = []
        for before, after in pairwise(points):
            took = after.at_s - before.at_s
            trend.append(
                TrendPoint(
                    now.at_s - after.at_s,
                    max(0, after.requests - before.requests) / took,
                    max(0, after.errors - before.errors) / took,
                    quantile(0.95, since(after.duration, before.duration)),
                )
            )
        return tuple(trend)


def _age_s(families: tuple[Family, ...], at_ns: int) -> float:
    """Seconds since the first of the metrics shown began to count."""
    starts = [series.start_ns for family in families if family.name in METRICS for series in family.series]
    began = min((start for start in starts if start), default=at_ns)
    return max(0.0, (at_ns - began) / 1e9)
