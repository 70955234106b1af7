"""`otel-sidecar demo`: the main job on one machine, with real traffic, and a check that nothing was lost on the way."""

from sidecar.demo.command import main

__all__ = ["main"]
