"""Chooses who exports: our own OTLP/HTTP exporters, or the stock ones for the protocols ours do not speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter

from instrumentation.guard import logger
from instrumentation.otlp.exporters import OtlpLogExporter, OtlpMetricExporter, OtlpSpanExporter
from instrumentation.otlp.settings import OtlpSettings, OtlpSignal, Protocol, Temporality

# The stock exporter's default.
_GRPC_ENDPOINT: Final = "http://localhost:4317"
_MISSING: Final = (
    "OTEL_EXPORTER_OTLP_PROTOCOL=%s needs the stock exporters (pip install 'otel-sidecar[otlp]'); %s are not exported"
)


def span_exporter(environ: Mapping[str, str], resource: Callable[[], Resource]) -> SpanExporter | None:
    """Exports spans as the environment asks; None, with a warning, when what it asks for is not installed.

    Args:
        environ: the standard `OTEL_EXPORTER_OTLP_*` variables.
        resource: of this very process; spans made after a fork carry their parent's otherwise.
    """
    settings = _read(environ, OtlpSignal.TRACES)
    if settings.protocol is not Protocol.GRPC:
        return OtlpSpanExporter(settings, resource)
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    except ImportError:
        logger.warning(_MISSING, settings.protocol, "spans")
        return None
    return OTLPSpanExporter()


def metric_exporter(environ: Mapping[str, str], resource: Callable[[], Resource]) -> MetricExporter | None:
    """Exports metrics as the environment asks; None, with a warning, when what it asks for is not installed."""
    settings = _read(environ, OtlpSignal.METRICS)
    if settings.protocol is not Protocol.GRPC:
        return OtlpMetricExporter(settings, resource)
    try:
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    except ImportError:
        logger.warning(_MISSING, settings.protocol, "metrics")
        return None
    return OTLPMetricExporter()


def log_exporter(environ: Mapping[str, str], resource: Callable[[], Resource]) -> LogRecordExporter | None:
    """Exports log records as the environment asks; None, with a warning, when what it asks for is not installed."""
    settings = _read(environ, OtlpSignal.LOGS)
    if settings.protocol is not Protocol.GRPC:
        return OtlpLogExporter(settings, resource)
    try:
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    except ImportError:
        logger.warning(_MISSING, settings.protocol, "log records")
        return None
    return OTLPLogExporter()


def traces_endpoint(environ: Mapping[str, str]) -> str:
    """Where spans go, for the start-up line; without credentials."""
    settings = OtlpSettings.read(environ, OtlpSignal.TRACES)
    if settings.protocol is not Protocol.GRPC:
        return str(settings.endpoint)
    given = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return f"{(given or _GRPC_ENDPOINT).rpartition('@')[2]} (grpc)"


def metrics_are_cumulative(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for totals rather than differences."""
    return OtlpSettings.read(environ, OtlpSignal.METRICS).temporality is Temporality.CUMULATIVE


def _read(environ: Mapping[str, str], signal: OtlpSignal) -> OtlpSettings:
    # The exporters say the settings' problems themselves.
    settings = OtlpSettings.read(environ, signal)
    if settings.protocol is Protocol.HTTP_JSON:
        logger.warning("OTEL_EXPORTER_OTLP_PROTOCOL=http/json: http/protobuf is used")
    return settings
