"""One of every kind of metric, from the real SDK, as two processes of one pod would send them."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from tests.support.processes import http

#: The exponential one among them.
EXPONENTIAL = "inference.duration"
#: What each process records: 1 ms to 10 s, evenly on a logarithmic scale.
DURATIONS = [0.001 * 10 ** (4 * step / 400) for step in range(400)]


class Worker:
    """A process with the real SDK; its measurements are made inside spans, so they carry exemplars."""

    def __init__(self, name: str) -> None:
        self._reader = InMemoryMetricReader()
        provider = MeterProvider(
            [self._reader],
            resource=Resource({"service.name": "pod", "service.instance.id": name}),
            views=[View(instrument_name=EXPONENTIAL, aggregation=ExponentialBucketHistogramAggregation())],
        )
        meter = provider.get_meter("lib", "1.0")
        self._tracer = TracerProvider().get_tracer("lib")
        self._exponential = meter.create_histogram(EXPONENTIAL, "s", "Duration of the model's work.")
        self._explicit = meter.create_histogram(
            "queue.duration", "s", "Time spent waiting.", explicit_bucket_boundaries_advisory=[0.005, 0.1, 1, 2.5]
        )
        self._counter = meter.create_counter("predictions", "{prediction}", "Finished predictions.")
        self._active = meter.create_up_down_counter("predictions.active", "{prediction}", "In flight.")
        self._size = meter.create_counter("received", "By", "Bytes taken in.")
        meter.create_observable_gauge("temperature", [_temperature], "Cel", "Of the accelerator.")
        provider.get_meter("other").create_counter("predictions", description="Finished predictions.").add(
            2, {"a": "b"}
        )

    def work(self) -> None:
        """Records one of each."""
        for place, duration in enumerate(DURATIONS):
            with self._tracer.start_as_current_span("work"):
                route = {"http.route": f"/{place % 2}", 'odd "label"': "line\nend\\"}
                self._exponential.record(duration, route)
                self._explicit.record(duration, route)
                self._counter.add(1, {"class": "cat" if place % 3 else "dog"})
                self._size.add(10_000_000.5)
        self._active.add(2)

    def send(self, address: str) -> None:
        """Exports to an OTLP/HTTP receiver, as the stock exporter would."""
        data = self._reader.get_metrics_data()
        assert data is not None
        reply = http(
            f"http://{address}/v1/metrics",
            body=encode_metrics(data).SerializeToString(),
            headers={"content-type": "application/x-protobuf"},
        )
        assert reply.status == 200, reply.text


def _temperature(_: CallbackOptions) -> Iterable[Observation]:
    yield Observation(61.25, {"device": "0"})
