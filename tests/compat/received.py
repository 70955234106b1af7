"""What a sink has received, read as a bridge would: the last totals of each process, and every span."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from sidecar.batch import Signal
from tests.support.otlp_requests import REQUESTS
from tests.support.otlp_sink import Sink


@dataclass(frozen=True, slots=True)
class Received:
    """Totals and spans.

    Attributes:
        instances: `service.instance.id` of every process, with its last metrics.
        server_spans: spans of kind SERVER.
        names: of all spans.
    """

    instances: dict[str, list[Metric]]
    server_spans: int
    names: tuple[str, ...]

    def counts(self, metric: str, label: str) -> dict[str, int]:
        """Counts of a histogram by one attribute, over all processes."""
        found: dict[str, int] = {}
        for point in self._points(metric):
            value = next((one.value.string_value for one in point.attributes if one.key == label), "")
            found[value] = found.get(value, 0) + point.count
        return found

    def values(self, metric: str) -> float:
        """The sum of a counter's points, over all processes."""
        return float(sum(point.as_int or point.as_double for point in self._points(metric)))

    def _points(self, name: str) -> Iterator[Any]:
        for metrics in self.instances.values():
            for metric in metrics:
                if metric.name == name:
                    yield from getattr(metric, metric.WhichOneof("data") or "").data_points


def received(sink: Sink) -> Received:
    """Everything that has arrived; metrics are taken as cumulative."""
    instances: dict[str, list[Metric]] = {}
    for signal, body, _ in tuple(sink.requests):
        if signal is not Signal.METRICS:
            continue
        for resource in REQUESTS[signal].FromString(body).resource_metrics:
            (who,) = [
                one.value.string_value for one in resource.resource.attributes if one.key == "service.instance.id"
            ]
            instances[who] = [metric for scope in resource.scope_metrics for metric in scope.metrics]
    spans = sink.items(Signal.TRACES)
    servers = sum(span.kind == Span.SPAN_KIND_SERVER for span in spans)
    return Received(instances, servers, tuple(span.name for span in spans))
