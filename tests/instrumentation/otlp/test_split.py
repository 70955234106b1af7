from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import Gauge, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from instrumentation.otlp.split import count_points, halve_metrics, halve_sequence

Levels = list[list[list[int]]]
Flat = list[tuple[int, int, int, float]]


def data(levels: Levels) -> MetricsData:
    """As many points as each innermost number says, each with a value of its own within its metric."""
    return MetricsData(
        [
            ResourceMetrics(
                Resource({"r": r}),
                [
                    ScopeMetrics(
                        InstrumentationScope(str(s)),
                        [
                            Metric(str(m), "", "", Gauge([NumberDataPoint({}, 0, 0, v) for v in range(points)]))
                            for m, points in enumerate(metrics)
                        ],
                        "",
                    )
                    for s, metrics in enumerate(scopes)
                ],
                "",
            )
            for r, scopes in enumerate(levels)
        ]
    )


def flat(whole: MetricsData) -> list[tuple[object, str, str, object]]:
    return [
        (of_resource.resource.attributes["r"], of_scope.scope.name, metric.name, point)
        for of_resource in whole.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
        for point in metric.data.data_points
    ]


@settings(deadline=None)
@given(st.lists(st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=3), max_size=3))
def test_halves_hold_every_point_once_down_to_single_points(levels: Levels) -> None:
    whole = data(levels)
    assert count_points(whole) == len(flat(whole))
    pieces, done = [whole], []
    while pieces:
        piece = pieces.pop(0)
        halves = halve_metrics(piece) if count_points(piece) > 1 else None
        if halves is None:
            done.append(piece)
        else:
            pieces = [*halves, *pieces]
    assert [point for piece in done for point in flat(piece)] == flat(whole)
    assert all(count_points(piece) <= 1 for piece in done)


def test_what_cannot_be_divided_is_said_so() -> None:
    assert halve_sequence([]) is None
    assert halve_sequence([1]) is None
    assert halve_metrics(MetricsData([])) is None
    assert halve_metrics(data([[[1]]])) is None
