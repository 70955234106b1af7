"""What turning SDK data into OTLP bytes costs, ours beside the stock encoder, in alternating rounds.

    python -m benchmarks.encode [--rounds 30]

Each round times both on the same data, one after the other, so the ratio of a round is fair whatever else the machine
does; the spread of the ratios says how much it did.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as stock_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as stock_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AnyValue

from instrumentation.otlp.metrics import encode_metrics
from instrumentation.otlp.split import count_points
from instrumentation.otlp.traces import encode_spans

SPANS = 64
REPEATS = 30


def typical_spans() -> Sequence[ReadableSpan]:
    """Server spans of a prediction: ten attributes, of which two differ each time."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "bench"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("benchmark", "1")
    for _ in range(SPANS):
        attributes: dict[str, AnyValue] = {
            "http.request.method": "POST",
            "http.route": "/predict",
            "url.scheme": "http",
            "server.address": "127.0.0.1",
            "server.port": 8000,
            "network.protocol.version": "1.1",
            "http.response.status_code": 200,
            "ml.model.name": "catvsdog",
            "ml.prediction.confidence": random.random(),
            "ml.prediction.id": f"{random.getrandbits(64):016x}",
        }
        tracer.start_span("POST /predict", kind=SpanKind.SERVER, attributes=attributes).end()
    return memory.get_finished_spans()


def typical_metrics() -> MetricsData:
    """A service's export: 40 counters and 40 histograms with their attributes."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("benchmark")
    requests, duration = meter.create_counter("requests"), meter.create_histogram("duration", "s")
    for number in range(40):
        attributes: dict[str, AnyValue] = {"http.route": f"/items/{number}", "http.response.status_code": 200}
        requests.add(number, attributes)
        for _ in range(20):
            duration.record(random.random() * 3000, attributes)
    data = reader.get_metrics_data()
    if data is None:
        raise RuntimeError("the reader collected nothing")
    return data


def seconds(work: Callable[[], bytes]) -> float:
    """CPU time of this thread for one call, of many."""
    began = time.thread_time()
    for _ in range(REPEATS):
        work()
    return (time.thread_time() - began) / REPEATS


def compare(what: str, items: int, ours: Callable[[], bytes], stock: Callable[[], bytes], rounds: int) -> None:
    """Prints one line: microseconds an item on both sides, and the ratio with its quartiles."""
    ours(), stock()
    pairs = [(seconds(ours) / items * 1e6, seconds(stock) / items * 1e6) for _ in range(rounds)]
    low, middle, high = statistics.quantiles([theirs / own for own, theirs in pairs], n=4)
    own, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{what:12} ours {own:6.2f} µs   stock {theirs:6.2f} µs   ratio {middle:.1f} ({low:.1f}-{high:.1f})")


def main() -> None:
    """Compares both encoders on spans and on metric points."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30, help="paired rounds, at least 2")
    rounds = max(2, parser.parse_args().rounds)
    spans, metrics = typical_spans(), typical_metrics()
    compare("span", SPANS, lambda: encode_spans(spans), lambda: stock_spans(spans).SerializePartialToString(), rounds)
    points = count_points(metrics)
    compare(
        "data point",
        points,
        lambda: encode_metrics(metrics),
        lambda: stock_metrics(metrics).SerializeToString(),
        rounds,
    )


if __name__ == "__main__":
    main()
