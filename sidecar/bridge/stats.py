"""What the bridge says about itself: every drop has a counter, every bound a gauge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sidecar.bridge.entries import OVERFLOW, Metric
from sidecar.bridge.model import Attributes, Family, Kind, Series
from sidecar.bridge.points import Problem
from sidecar.bridge.store import Store

SCOPE = ("otel-sidecar", "")
#: Every reason for which a point is dropped, so that each counter is there before its first event.
DROP_REASONS = (
    "duplicate",
    "late",
    "malformed",
    "metric_limit",
    "no_name",
    "no_temporality",
    "stale",
    "stream_limit",
)


@dataclass(frozen=True, slots=True)
class BridgeStats:
    """How the bridge is doing.

    Attributes:
        workers: processes alive.
        workers_ended: processes whose counts are kept apart still, for late points.
        workers_shared: identities under which more than one process reports.
        workers_ghost: processes that report what another one counted before a fork; the totals hold it twice.
        streams: kept in memory.
        series: the same.
        points: received since start.
        dropped: of them, by reason:
            duplicate, a point seen before · stale, older than the one in use · late, of an ended worker that was added
            up for good · stream_limit, metric_limit, no room · malformed, no_name, no_temporality, unusable as sent.
        resets: of counters that began anew.
        adopted: streams that came back after their last values were given up: see `Store.give_up`.
        overflowed: metrics with an overflow series → distinct values by label, the guilty one among them.
        left_out: (reason, metric or view) of what the last scrape could not show.
        state_bytes: size of the state file as last written; 0 without one.
        state_failures: saves that failed.
        started_ns: when this bridge began to count.
    """

    workers: int = 0
    workers_ended: int = 0
    workers_shared: int = 0
    workers_ghost: int = 0
    streams: int = 0
    series: int = 0
    points: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    resets: int = 0
    adopted: int = 0
    overflowed: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    left_out: tuple[tuple[str, str], ...] = ()
    state_bytes: int = 0
    state_failures: int = 0
    started_ns: int = 0


def overflowed(store: Store) -> dict[str, dict[str, int]]:
    """Metrics that had more series than fit → distinct values of each label among those that did.

    Where the pod's limit was the cause, the metric that took the room is among them.
    """
    found = {metric.descriptor.name: label_values(metric) for metric in store.metrics.values() if metric.overflowed}
    if any(_cut_by_the_pod(metric, store) for metric in store.metrics.values()):
        largest = _largest(store)
        found[largest.descriptor.name] = label_values(largest)
    return found


def overflows(store: Store) -> Iterator[Problem]:
    """The same in sentences, one for each metric that was cut."""
    for metric in store.metrics.values():
        if metric.overflowed:
            name, pod = metric.descriptor.name, _cut_by_the_pod(metric, store)
            largest = _largest(store) if pod else metric
            label, values = max(label_values(largest).items(), key=lambda item: item[1], default=("", 0))
            limit = f"the pod has {store.series} series" if pod else f"{name} has {len(metric.series)} series"
            took = f", {len(largest.series)} of them {largest.descriptor.name}" if pod else ""
            most = f". Most values: {label} ({values})" if label else ""
            detail = f'{limit}{took}; the rest of {name} is in otel_metric_overflow="true"{most}'
            yield Problem("overflow", name, detail, 0)


def _cut_by_the_pod(metric: Metric, store: Store) -> bool:
    return metric.overflowed and len(metric.series) < store.limits.series_per_metric


def _largest(store: Store) -> Metric:
    return max(store.metrics.values(), key=lambda metric: len(metric.series))


def label_values(metric: Metric) -> dict[str, int]:
    """Distinct values by label."""
    values: dict[str, set[str]] = {}
    for attributes in metric.series.keys() - {OVERFLOW}:
        for key, value in attributes:
            values.setdefault(key, set()).add(value)
    return {key: len(found) for key, found in sorted(values.items())}


def families(stats: BridgeStats) -> Iterator[Family]:
    """The stats as metrics of the sidecar's own."""

    def one(name: str, kind: Kind, help_: str, rows: Iterable[tuple[Attributes, int]], unit: str = "") -> Family:
        start = stats.started_ns if kind is Kind.COUNTER else 0
        series = tuple(Series(tuple(sorted(attributes)), value, start) for attributes, value in rows)
        return Family(f"otel_sidecar.bridge.{name}", kind, unit, help_, series, SCOPE)

    yield one(
        "workers",
        Kind.GAUGE,
        "Processes that export metrics: alive, ended, sharing one identity, or counting another's past after a fork.",
        (
            ((("state", state),), value)
            for state, value in (
                ("alive", stats.workers),
                ("ended", stats.workers_ended),
                ("shared_identity", stats.workers_shared),
                ("fork_ghost", stats.workers_ghost),
            )
        ),
    )
    yield one("streams", Kind.GAUGE, "Streams kept, of all workers.", [((), stats.streams)])
    yield one("series", Kind.GAUGE, "Series that they add up to.", [((), stats.series)])
    yield one("points", Kind.COUNTER, "Data points received.", [((), stats.points)])
    yield one(
        "points.dropped",
        Kind.COUNTER,
        "Data points not used, by reason.",
        (((("reason", reason),), count) for reason, count in sorted(stats.dropped.items())),
    )
    yield one("resets", Kind.COUNTER, "Streams that began anew.", [((), stats.resets)])
    yield one(
        "adopted",
        Kind.COUNTER,
        "Streams that came back after their last values were given up; what they counted meanwhile is missing.",
        [((), stats.adopted)],
    )
    yield one(
        "left_out",
        Kind.GAUGE,
        "1 for each metric or view that the last scrape could not show in full; the log has the sentence.",
        (((("metric", metric), ("reason", reason)), 1) for reason, metric in stats.left_out),
    )
    yield one(
        "overflow.label_values",
        Kind.GAUGE,
        "Metrics with more series than allowed: distinct values by label; the guilty label has the most.",
        (
            ((("metric", metric), ("label", label)), count)
            for metric, labels in sorted(stats.overflowed.items())
            for label, count in labels.items()
        ),
    )
    yield one("state.size", Kind.GAUGE, "Size of the state file.", [((), stats.state_bytes)], "By")
    yield one("state.failures", Kind.COUNTER, "Saves of the state that failed.", [((), stats.state_failures)])
