"""A service with the stock SDK that counts before gunicorn forks it, as many do without knowing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

EARLY = 5

provider = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())])
counter = provider.get_meter("stock").create_counter("jobs")
counter.add(EARLY)


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Counts each request but those to /healthz."""
    if environ["PATH_INFO"] != "/healthz":
        counter.add(1)
    start_response("200 OK", [("content-type", "text/plain")])
    return [str(os.getpid()).encode()]
