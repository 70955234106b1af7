"""Which exemplars stay when several compete, the newest of each bucket, and how they are labelled."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable

from sidecar.bridge.model import Attributes, Exemplar
from sidecar.bridge.names import label_name

#: OpenMetrics 1.0, "Exemplars": "The combined length of the label names and values … MUST NOT exceed 128 characters."
MAX_CHARACTERS = 128
_ESCAPED = frozenset('"\\\n')


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


def exemplar_labels(exemplar: Exemplar) -> Attributes:
    """Compat spec 1.60, "Exemplar Conversion": trace and span first; other attributes while there is room.

    Values that have to be escaped are left out: prometheus_client's parser, up to 0.23 at least, takes a quote in them
    for the end of the value, and loses the whole scrape.
    """
    pairs: dict[str, str] = {}
    room = MAX_CHARACTERS
    ids = (("trace_id", exemplar.trace_id), ("span_id", exemplar.span_id))
    for key, value in (*ids, *((label_name(key), value) for key, value in exemplar.attributes)):
        length = len(key) + len(value)
        if value and key not in pairs and length <= room and _ESCAPED.isdisjoint(value):
            pairs[key] = value
            room -= length
    return tuple(pairs.items())
