"""Says what needs attention, in sentences, so that nobody has to find it in tables at 3 a.m."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sidecar.batch import Signal
from sidecar.bridge import BridgeStats
from sidecar.ledger import Snapshot
from sidecar.page.figures import Figures
from sidecar.page.models import ModelFigures

#: From which share on failures are worth a word, or bad. Wrong uploads are failed predictions too: those may be more.
_WARN_SHARE: Final = 0.01
_BAD_REQUESTS: Final = 0.05
_BAD_PREDICTIONS: Final = 0.2
_MIN_EVENTS: Final = 10
#: Services export every few seconds; a silence so long is one.
_SILENCE_S: Final = 30.0
_ITEMS: Final = {Signal.TRACES: "spans", Signal.METRICS: "data points", Signal.LOGS: "log records"}


class Level(StrEnum):
    """How much it matters."""

    BAD = "bad"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence."""

    level: Level
    text: str


def notices(figures: Figures, books: Snapshot, bridge: BridgeStats, *, silent_s: float) -> tuple[Notice, ...]:
    """What is wrong, the worst first; `silent_s` is for how long nothing has been received, 0 when something was."""
    found = [*_service(figures), *_books(books), *_bridge(bridge)]
    if silent_s >= _SILENCE_S:
        found.append(Notice(Level.WARN, f"Nothing was received for {silent_s:.0f} s: are the services running?"))
    return tuple(sorted(found, key=lambda notice: notice.level))


def _service(figures: Figures) -> Iterator[Notice]:
    requests = figures.requests
    yield from _share("requests failed (5xx)", requests.server_errors, requests.rate * figures.window_s, _BAD_REQUESTS)
    for model in figures.models:
        name = _name(model)
        if model.loaded is False:
            yield Notice(Level.BAD, f"Model {name} is not loaded.")
        events = model.rate * figures.window_s
        yield from _share(f"predictions of {name} failed", model.errors, events, _BAD_PREDICTIONS)


def _share(what: str, share: float | None, events: float, bad: float) -> Iterator[Notice]:
    if share is not None and share >= _WARN_SHARE and events >= _MIN_EVENTS:
        level = Level.BAD if share >= bad else Level.WARN
        yield Notice(level, f"{share:.1%} of {what}.")


def _books(books: Snapshot) -> Iterator[Notice]:
    for row in books.rows:
        if row.missing:
            yield Notice(
                Level.BAD,
                f"The ledger does not add up for {row.target}: {row.missing:,} {_ITEMS[row.signal]} in no column.",
            )
        for reason, count in row.dropped:
            text = f"Dropped on the way to {row.target}: {count:,} {_ITEMS[row.signal]} ({reason})."
            yield Notice(Level.WARN, text)
    for refused in books.refused:
        if refused.requests:
            text = f"Requests with {refused.signal} refused: {refused.requests:,} ({refused.reason})."
            yield Notice(Level.WARN, text)


def _bridge(stats: BridgeStats) -> Iterator[Notice]:
    if stats.workers_ghost:
        text = "counted on after a fork, so totals hold some requests twice: let instrument() start in each worker."
        yield Notice(Level.BAD, f"{stats.workers_ghost} workers {text}")
    if stats.workers_shared:
        text = "are used by several processes, so their gauges mix: give each its own service.instance.id."
        yield Notice(Level.WARN, f"{stats.workers_shared} worker identities {text}")
    for metric, labels in stats.overflowed.items():
        guilty = max(labels, key=lambda label: labels[label], default="")
        yield Notice(Level.WARN, f"{metric} has too many series; most values has {guilty or 'none of its labels'}.")
    if stats.state_failures:
        yield Notice(Level.WARN, f"The state of /metrics could not be saved {stats.state_failures:,} times.")


def _name(model: ModelFigures) -> str:
    return " ".join(part for part in (model.name, model.version) if part) or "without a name"
