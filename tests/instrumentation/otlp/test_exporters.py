from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    Gauge,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from instrumentation.otlp.exporters import OtlpLogExporter, OtlpMetricExporter, OtlpSpanExporter
from instrumentation.otlp.settings import OtlpSettings, OtlpSignal
from instrumentation.otlp.shipping import MAX_BODY
from tests.support.otlp_http import Answer, OtlpHttpServer, otlp_http
from tests.support.processes import LOOPBACK, free_port, python


@pytest.fixture
def server() -> Iterator[OtlpHttpServer]:
    with otlp_http() as running:
        yield running


def settings(port: int, signal: OtlpSignal = OtlpSignal.TRACES, **options: str) -> OtlpSettings:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{port}"}
    environ |= {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in options.items()}
    return replace(OtlpSettings.read(environ, signal), final_timeout_s=0.5)


@pytest.fixture
def exporter(server: OtlpHttpServer) -> Iterator[OtlpSpanExporter]:
    made = OtlpSpanExporter(settings(server.port))
    yield made
    made.shutdown()


def span(name: str = "s", **values: Any) -> ReadableSpan:
    return ReadableSpan(name, SpanContext(1, 2, is_remote=False), resource=Resource({"process.pid": 1}), **values)


def names(bodies: list[bytes]) -> list[str]:
    return [
        encoded.name
        for body in bodies
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for of_scope in of_resource.scope_spans
        for encoded in of_scope.spans
    ]


def test_spans_of_the_sdks_batch_processor_arrive(server: OtlpHttpServer, exporter: OtlpSpanExporter) -> None:
    provider = TracerProvider(resource=Resource({"service.name": "s"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("t")
    for number in range(5):
        tracer.start_span(f"{number}").end()
    provider.shutdown()
    assert sorted(names([asked.body for asked in server.asked])) == ["0", "1", "2", "3", "4"]
    assert {asked.path for asked in server.asked} == {"/v1/traces"}
    assert (exporter.stats.exported, exporter.stats.failed) == (5, {})


def test_metrics_of_the_sdks_periodic_reader_arrive_as_preferred(server: OtlpHttpServer) -> None:
    made = OtlpMetricExporter(
        settings(
            server.port,
            OtlpSignal.METRICS,
            METRICS_TEMPORALITY_PREFERENCE="delta",
            METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram",
        ),
        lambda: Resource({"process.pid": 42}),
    )
    provider = MeterProvider([PeriodicExportingMetricReader(made)], shutdown_on_exit=False)
    meter = provider.get_meter("m")
    meter.create_counter("c").add(1)
    meter.create_up_down_counter("u").add(1)
    meter.create_histogram("h").record(1)
    provider.shutdown()
    [asked] = server.asked
    [of_resource] = ExportMetricsServiceRequest.FromString(asked.body).resource_metrics
    counter, up_down, histogram = of_resource.scope_metrics[0].metrics
    assert asked.path == "/v1/metrics"
    assert [a.value.int_value for a in of_resource.resource.attributes] == [42]
    assert counter.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    assert up_down.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    assert histogram.exponential_histogram.data_points[0].count == 1
    assert made.stats.exported == 3


def test_logs_of_the_sdks_batch_processor_arrive(server: OtlpHttpServer) -> None:
    made = OtlpLogExporter(settings(server.port, OtlpSignal.LOGS))
    provider = LoggerProvider(Resource({}), shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(made))
    provider.get_logger("l").emit(LogRecord(body="hello"))
    provider.shutdown()
    [asked] = server.asked
    [of_resource] = ExportLogsServiceRequest.FromString(asked.body).resource_logs
    assert asked.path == "/v1/logs"
    assert of_resource.scope_logs[0].log_records[0].body.string_value == "hello"
    assert made.stats.exported == 1


def test_the_resource_is_asked_for_at_each_export(server: OtlpHttpServer) -> None:
    pids = iter([2, 3])
    made = OtlpSpanExporter(settings(server.port), lambda: Resource({"process.pid": next(pids)}))
    made.export([span(), span()])
    made.export([span()])
    sent = [ExportTraceServiceRequest.FromString(asked.body).resource_spans for asked in server.asked]
    assert [[a.value.int_value for r in each for a in r.resource.attributes] for each in sent] == [[2], [3]]
    assert made.export([span()]) is SpanExportResult.FAILURE  # the service's callable raises: counted, not raised
    assert made.stats.failed == {"encode": 1}
    made.shutdown()


def test_a_large_export_is_divided_and_arrives_whole(server: OtlpHttpServer, exporter: OtlpSpanExporter) -> None:
    spans = [span(f"{number}", attributes={"text": "x" * 100_000}) for number in range(100)]
    assert exporter.export(spans) is SpanExportResult.SUCCESS
    assert len(server.asked) > 3
    assert max(len(asked.body) for asked in server.asked) <= MAX_BODY
    assert names([asked.body for asked in server.asked]) == [str(number) for number in range(100)]
    assert exporter.stats.exported == 100


def test_large_metrics_are_divided_too(server: OtlpHttpServer) -> None:
    made = OtlpMetricExporter(settings(server.port, OtlpSignal.METRICS))
    points = [NumberDataPoint({"text": "x" * 1000 + str(number)}, 0, 1, number) for number in range(4000)]
    scope = ScopeMetrics(InstrumentationScope("s"), [Metric("m", "", "", Gauge(points))], "")
    assert made.export(MetricsData([ResourceMetrics(Resource({}), [scope], "")])) is MetricExportResult.SUCCESS
    requests = [ExportMetricsServiceRequest.FromString(asked.body) for asked in server.asked]
    sent = [r.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points for r in requests]
    assert len(sent) == 2
    assert [point.as_int for part in sent for point in part] == list(range(4000))
    assert max(len(asked.body) for asked in server.asked) <= MAX_BODY
    made.shutdown()


def test_one_item_beyond_the_limit_is_left_to_the_server(server: OtlpHttpServer, exporter: OtlpSpanExporter) -> None:
    assert exporter.export([span(attributes={"text": "x" * MAX_BODY})]) is SpanExportResult.SUCCESS


def test_a_server_with_a_lower_limit_gets_smaller_requests(server: OtlpHttpServer, exporter: OtlpSpanExporter) -> None:
    server.say(Answer(413), Answer(), Answer(413), Answer(), Answer(413))
    assert exporter.export([span("a"), span("b"), span("c"), span("d")]) is SpanExportResult.FAILURE
    assert exporter.stats.exported == 3
    assert exporter.stats.failed == {"http_413": 1}


def test_a_span_that_cannot_be_encoded_costs_only_itself(
    server: OtlpHttpServer, exporter: OtlpSpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ReadableSpan("bad", SpanContext(1, 1 << 64, is_remote=False), resource=Resource({}))
    spans = [span(f"{number}") for number in range(20)]
    assert exporter.export([*spans[:7], bad, *spans[7:]]) is SpanExportResult.FAILURE
    assert names([asked.body for asked in server.asked]) == [str(number) for number in range(20)]
    assert (exporter.stats.exported, exporter.stats.failed) == (20, {"encode": 1})
    [message] = caplog.messages
    assert message.startswith(f"lost 1 spans for http://{LOOPBACK}:{server.port}/v1/traces (encode): ")


def test_a_partial_success_is_counted_and_said(
    server: OtlpHttpServer, exporter: OtlpSpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    for rejected, words in ((1, "too old"), (0, "use http/2"), (99, "nonsense")):
        partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=words)
        server.say(Answer(body=ExportTraceServiceResponse(partial_success=partial).SerializeToString()))
    results = [exporter.export([span(), span(), span()]) for _ in range(3)]
    assert results == [SpanExportResult.FAILURE, SpanExportResult.SUCCESS, SpanExportResult.FAILURE]
    assert (exporter.stats.exported, exporter.stats.failed) == (5, {"rejected": 4})
    place = f"http://{LOOPBACK}:{server.port}/v1/traces"
    assert caplog.messages == [
        f"lost 1 spans for {place} (rejected): too old",
        f"{place} says about the spans it took: use http/2",
    ]


def test_losses_name_the_endpoint_and_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    made = OtlpSpanExporter(settings(port, TIMEOUT="0.1"))
    for _ in range(3):
        assert made.export([span(), span()]) is SpanExportResult.FAILURE
    made.shutdown()
    [message] = caplog.messages
    assert message.startswith(f"lost 2 spans for http://{LOOPBACK}:{port}/v1/traces (connection): ")
    assert made.stats.failed == {"connection": 6}


def test_a_wrong_variable_is_said_once_in_a_process(caplog: pytest.LogCaptureFixture) -> None:
    for make, signal in ((OtlpSpanExporter, OtlpSignal.TRACES), (OtlpMetricExporter, OtlpSignal.METRICS)):
        make(settings(1, signal, COMPRESSION="brotli")).shutdown()
    assert caplog.messages == [
        "OTEL_EXPORTER_OTLP_COMPRESSION='brotli': it is none of none, gzip, deflate; none is used"
    ]


def test_an_empty_export_sends_nothing(server: OtlpHttpServer, exporter: OtlpSpanExporter) -> None:
    assert exporter.export([]) is SpanExportResult.SUCCESS
    assert exporter.force_flush()
    assert server.asked == []


@pytest.mark.parametrize("announced", [True, False])
def test_the_end_of_a_service_is_bounded_with_nobody_listening(announced: bool) -> None:  # noqa: FBT001 - a parameter
    """2048 spans are waiting in the SDK's processor when the process is told to end."""
    made = OtlpSpanExporter(settings(free_port(), TIMEOUT="2"))
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(made, schedule_delay_millis=60_000, max_export_batch_size=2048))
    tracer = provider.get_tracer("t")
    for _ in range(2000):
        tracer.start_span("s").end()
    began = time.monotonic()
    if announced:
        made.begin_shutdown()
    provider.shutdown()
    assert time.monotonic() - began < (1.5 if announced else 4)
    assert made.stats.failed == {"connection": 2000}


@pytest.mark.parametrize(
    ("make", "export"),
    [
        (OtlpSpanExporter, lambda made: made.export([span()])),
        (OtlpMetricExporter, lambda made: made.export(MetricsData([]))),
        (OtlpLogExporter, lambda made: made.export([])),
    ],
)
def test_an_exporter_can_be_shut_down_as_each_sdk_version_does(make: Any, export: Callable[[Any], object]) -> None:
    made = make(settings(free_port()))
    made.shutdown(timeout_millis=100)
    made.shutdown(timeout=100)
    export(made)
    assert made.stats.failed == ({"shutdown": 1} if make is OtlpSpanExporter else {})


def test_importing_the_exporters_loads_no_protobuf_and_no_http_library() -> None:
    code = "import sys, instrumentation.otlp.exporters; print(*sorted(sys.modules), sep='\\n')"
    loaded = subprocess.run(
        python("-W", "error", "-c", code), capture_output=True, text=True, check=True
    ).stdout.split()
    roots = {name.partition(".")[0] for name in loaded}
    assert "instrumentation.otlp.exporters" in loaded
    assert not roots & {"google", "grpc", "requests", "httpx", "urllib3", "aiohttp"}
    assert not [name for name in loaded if name.startswith(("opentelemetry.proto", "opentelemetry.exporter.otlp"))]
