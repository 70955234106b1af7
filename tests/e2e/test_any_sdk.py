"""Any OpenTelemetry SDK may send to the sidecar: the stock instrumentor with the stock gRPC exporter does."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.addresses import free_addresses
from tests.e2e.collector import Collector
from tests.e2e.jaeger import Jaeger
from tests.e2e.services import sidecar
from tests.support.processes import http, python, running, wait_for

pytestmark = pytest.mark.e2e
SERVICE = "stock-e2e"
REQUESTS = 25
ROUTE = "/items/{number}"
# The stock instrumentor's default names are the conventions before 1.23, in milliseconds.
COUNT = "http_server_duration_milliseconds_count"


def test_a_stock_service_has_its_traces_and_metrics(gateway: Collector, tracing: Jaeger) -> None:
    """Every request is one server span in Jaeger and one count on the sidecar's /metrics."""
    address = free_addresses("web")["web"]
    host, _, port = address.rpartition(":")
    with sidecar("--forward", f"grpc://{gateway.grpc}") as beside:
        environment = {
            "OTEL_SERVICE_NAME": SERVICE,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{beside.grpc}",
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "OTEL_BSP_SCHEDULE_DELAY": "500",
        }
        command = python("-m", "uvicorn", "tests.e2e.stock_service:app", "--host", host, "--port", port)
        with running(command, name="stock service", env=environment) as program:
            program.wait_url(f"http://{address}/openapi.json", timeout_s=30)
            for number in range(REQUESTS):
                assert http(f"http://{address}/items/{number}").status == 200

            def counted() -> float:
                text = http(f"http://{beside.metrics}/metrics").text
                samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
                # The start-up check has no such label.
                return sum(s.value for s in samples if s.name == COUNT and s.labels.get("http_target") == ROUTE)

            wait_for(lambda: counted() == REQUESTS, f"{REQUESTS} requests on /metrics", timeout_s=15, every_s=0.2)

    # The start-up check of this test is a trace too.
    found = tracing.wait_traces(SERVICE, REQUESTS + 1)
    items = [trace.root for trace in found if trace.root.name == f"GET {ROUTE}"]
    assert len(items) == REQUESTS
    assert {span.kind for span in items} == {"server"}
