"""Which of the contract's views have never shown anything: a misspelt name must not stay silent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches

from sidecar.bridge.model import Family
from sidecar.bridge.names import metric_name
from sidecar.bridge.points import Problem
from sidecar.bridge.views import wanted
from sidecar.bridge.workers import SECOND
from sidecar.contract.model import View

#: Nothing is said before: a service exports every 60 s at most with the SDKs' default, and some metrics a little later.
PATIENCE_NS = 120 * SECOND
_EXAMPLES = 5


class Expected:
    """Waits for the views' first series. What was there once and has gone is no concern of it."""

    def __init__(self, views: Iterable[View]) -> None:
        self._waiting = {view.name: view for view in views}
        self._since_ns = 0
        self._overdue: dict[str, Problem] = {}  # the nearest name is looked for once

    def overdue(self, settled: Collection[str], families: Sequence[Family], now_ns: int) -> tuple[Problem, ...]:
        """The views that still show nothing a while after the first metrics came; `settled` are those that do not wait.

        That is right for a counter of errors that have not happened, so it is said as what it is, not as a fault.
        """
        self._waiting = {name: view for name, view in self._waiting.items() if name not in settled}
        if not families:
            return ()
        self._since_ns = self._since_ns or now_ns
        if now_ns - self._since_ns < PATIENCE_NS:
            return ()
        for name, view in self._waiting.items():
            if name not in self._overdue:
                self._overdue[name] = Problem("no_data", name, missing(view, families), 0)
        return tuple(self._overdue[name] for name in self._waiting)


def missing(view: View, families: Sequence[Family]) -> str:
    """Why a view shows nothing, in a sentence, and the nearest that would."""
    found = [family for family in families if family.name == view.metric]
    if found:
        return _unmatched(view, found)
    # Who writes the name as it is on /metrics means the metric.
    names = {metric_name(family.name, family.kind, family.unit): family.name for family in families}
    names |= {family.name: family.name for family in families}
    nearest = get_close_matches(view.metric, names, 1)
    hint = f"; the nearest that has come is {names[nearest[0]]}" if nearest else ""
    return f"no metric {view.metric} has come so far{hint}"


def _unmatched(view: View, families: Sequence[Family]) -> str:
    series = [dict(one.attributes) for family in families for one in family.series]
    for key, values in wanted(view.where):
        seen = {one.get(key, "") for one in series}
        if seen.isdisjoint(values):
            there = sorted(seen - {""})
            near = [best for value in values for best in get_close_matches(value, there, 1)]
            some = ", ".join(repr(value) for value in [*near, *(one for one in there if one not in near)][:_EXAMPLES])
            what = f"{key} is {some}" if there else f"none has {key}"
            return f"none of {len(series)} series of {view.metric} has {key} {' or '.join(map(repr, values))}: {what}"
    return f"none of {len(series)} series of {view.metric} has all of where: {view.where} at once"
