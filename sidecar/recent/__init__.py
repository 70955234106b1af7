"""The last traces of the pod: kept as the bytes they came in, decoded when someone looks."""

from sidecar.recent.recent import LOOK_ITEMS, Pick, Recent, RecentStats
from sidecar.recent.traces import SpanEvent, SpanView, Trace

__all__ = ["LOOK_ITEMS", "Pick", "Recent", "RecentStats", "SpanEvent", "SpanView", "Trace"]
