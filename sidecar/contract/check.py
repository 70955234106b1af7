"""What a contract's types cannot say: keys that contradict each other, or the registry's metrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sidecar import semconv
from sidecar.contract.errors import nearest, shown
from sidecar.contract.model import Contract, Label, View
from sidecar.contract.source import Place
from sidecar.contract.units import UNITS, factor

_REGISTRY: Final = {metric.name: metric for metric in semconv.METRICS}
#: Names on /metrics that are not a service's.
RESERVED_NAMES: Final = ("target_info", "otel_sidecar_")


def problems(contract: Contract) -> Iterator[tuple[Place, str]]:
    """(where, what) for each contradiction."""
    first: dict[str, int] = {}
    for at, view in enumerate(contract.views):
        place: Place = ("views", at)
        if view.name in first:
            yield (*place, "name"), f"{shown(view.name)} is already the name of views[{first[view.name]}]"
        first.setdefault(view.name, at)
        if view.name.startswith(RESERVED_NAMES):
            yield (*place, "name"), f"{shown(view.name)} belongs to the sidecar's own metrics"
        yield from _view(view, place)
    for name, rule in contract.merge.items():
        metric = _REGISTRY.get(name)
        if metric is not None and metric.instrument in ("counter", "histogram"):
            yield ("merge", name), f"{shown(rule)}: {name} is a {metric.instrument}; those always add up"


def _view(view: View, place: Place) -> Iterator[tuple[Place, str]]:
    metric = _REGISTRY.get(view.metric)
    if view.read != "value" and metric is not None and metric.instrument != "histogram":
        yield (*place, "read"), f"{shown(view.read)} needs a histogram; {metric.name} is a {metric.instrument}"
    if view.unit is not None:
        if view.read == "count":
            yield (*place, "unit"), f"{shown(view.unit)}: a count has no unit"
        elif view.unit not in UNITS:
            yield (*place, "unit"), f"{shown(view.unit)} is no unit that can be converted{nearest(view.unit, UNITS)}"
        elif metric is not None and factor(metric.unit, view.unit) is None:
            yield (*place, "unit"), f"{shown(view.unit)} cannot be had from {metric.name}, in {shown(metric.unit)}"
    for attribute, wanted in view.where.items():
        if not wanted and isinstance(wanted, list):
            yield (*place, "where", attribute), "[] matches nothing"
    for name, source in (view.labels or {}).items():
        yield from _label(name, source, (*place, "labels", name))


def _label(name: str, source: str | Label, place: Place) -> Iterator[tuple[Place, str]]:
    if name.startswith("__") or name in ("le", "quantile"):
        yield place, f"{shown(name)} is a label that Prometheus keeps for itself"
    if isinstance(source, str):
        if not source:
            yield place, "is empty: name an attribute, or use {value: ...}"
        return
    if (source.attribute is None) == (source.value is None):
        yield place, "needs either attribute or value"
    elif source.value is not None and (source.as_ or source.map or source.default is not None):
        yield place, "a fixed value goes with neither as, map nor default"
