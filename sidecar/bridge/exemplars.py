"""Which exemplars stay when several compete: the newest of each bucket (compat spec 1.60, "Histograms")."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from sidecar.bridge.model import Exemplar


def newest(exemplars: Iterable[Exemplar], bucket: Callable[[Exemplar], int]) -> tuple[Exemplar, ...]:
    """At most one exemplar per bucket, the newest, ordered by bucket."""
    best: dict[int, Exemplar] = {}
    for exemplar in exemplars:
        place = bucket(exemplar)
        held = best.get(place)
        if held is None or exemplar.timestamp_ns > held.timestamp_ns:
            best[place] = exemplar
    return tuple(best[place] for place in sorted(best))


def newest_per_bucket(exemplars: Iterable[Exemplar], bounds: tuple[float, ...]) -> tuple[Exemplar, ...]:
    """For explicit upper bounds."""
    return newest(exemplars, lambda exemplar: bisect_left(bounds, exemplar.value))


def newest_one(exemplars: Iterable[Exemplar]) -> tuple[Exemplar, ...]:
    """For a counter, whose sample has room for one (compat spec 1.60, "Sums": the latest)."""
    return newest(exemplars, lambda _: 0)
