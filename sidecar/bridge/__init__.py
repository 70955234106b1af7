"""All workers of a pod as one correct set of metrics."""

from __future__ import annotations

from sidecar.bridge.bridge import Bridge, BridgeSettings, Exposition
from sidecar.bridge.entries import Limits
from sidecar.bridge.stats import BridgeStats

__all__ = ["Bridge", "BridgeSettings", "BridgeStats", "Exposition", "Limits"]
