"""Expositions as Prometheus' own parsers read them."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as _openmetrics
from prometheus_client.parser import text_string_to_metric_families as _text


def parse_text(body: str) -> list[Metric]:
    """The classic format; raises ValueError for what is not."""
    return list(_text(body))


def parse_openmetrics(body: str) -> list[Metric]:
    """OpenMetrics 1.0; raises ValueError for what is not."""
    return list(_openmetrics(body))  # type: ignore[no-untyped-call] # prometheus_client has no annotation there
