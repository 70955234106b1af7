"""A minimal OTLP sender, so that the Collector's and Jaeger's own behaviour can be tested without our code between."""

from __future__ import annotations

import os
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.processes import Reply, http

PROTOBUF = {"content-type": "application/x-protobuf"}


def spans(service: str, count: int, *, padding: int = 0) -> ExportTraceServiceRequest:
    """That many one-span traces of a service; `padding` bytes of an attribute make each span larger."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_spans.add()
    now = time.time_ns()
    for index in range(count):
        span = scope.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name=f"span {index}")
        span.start_time_unix_nano = now
        span.end_time_unix_nano = now + 1_000_000
        if padding:
            span.attributes.add(key="padding").value.string_value = "x" * padding
    return request


def post(address: str, request: ExportTraceServiceRequest) -> Reply:
    """Sends it over OTLP/HTTP."""
    return http(f"http://{address}/v1/traces", body=request.SerializeToString(), headers=PROTOBUF)
