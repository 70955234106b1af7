"""Halves of an export that is too large for one request: receivers refuse more than a few MiB at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics

_Item = TypeVar("_Item")


def halve_sequence(items: Sequence[_Item]) -> tuple[Sequence[_Item], Sequence[_Item]] | None:
    """Both halves in order; None when there is nothing to divide."""
    middle = len(items) // 2
    return (items[:middle], items[middle:]) if middle else None


def count_points(data: MetricsData) -> int:
    """The data points in it."""
    return sum(
        [
            len(metric.data.data_points)
            for of_resource in data.resource_metrics
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
        ]
    )


def halve_metrics(data: MetricsData) -> tuple[MetricsData, MetricsData] | None:
    """Two parts with all points between them, divided at the highest level that has more than one thing."""
    halves = halve_sequence(data.resource_metrics)
    if halves is None and data.resource_metrics:
        parts = _halve_resource(data.resource_metrics[0])
        halves = parts and ([parts[0]], [parts[1]])
    return halves and (MetricsData(halves[0]), MetricsData(halves[1]))


def _halve_resource(whole: ResourceMetrics) -> tuple[ResourceMetrics, ResourceMetrics] | None:
    halves = halve_sequence(whole.scope_metrics)
    if halves is None and whole.scope_metrics:
        parts = _halve_scope(whole.scope_metrics[0])
        halves = parts and ([parts[0]], [parts[1]])
    return halves and (replace(whole, scope_metrics=halves[0]), replace(whole, scope_metrics=halves[1]))


def _halve_scope(whole: ScopeMetrics) -> tuple[ScopeMetrics, ScopeMetrics] | None:
    halves = halve_sequence(whole.metrics)
    if halves is None and whole.metrics:
        parts = _halve_metric(whole.metrics[0])
        halves = parts and ([parts[0]], [parts[1]])
    return halves and (replace(whole, metrics=halves[0]), replace(whole, metrics=halves[1]))


def _halve_metric(whole: Metric) -> tuple[Metric, Metric] | None:
    data: Any = whole.data  # each of four kinds, which have this field in common
    halves = halve_sequence(data.data_points)
    return halves and (
        replace(whole, data=replace(data, data_points=halves[0])),
        replace(whole, data=replace(data, data_points=halves[1])),
    )
