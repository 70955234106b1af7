"""The way of log records out of the process: bounded queue, batches, our exporter; begins afresh in a forked child."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider as SdkLoggerProvider
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    ConsoleLogRecordExporter,
    LogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource

from instrumentation.exporters import log_exporter
from instrumentation.logs.handler import OtelHandler, attach


class LogPipeline:
    """Our logger provider and the handler that feeds it.

    Args:
        names: `otlp`, `console`.
        environ: the standard `OTEL_EXPORTER_OTLP_*` variables.
        resource: of this very process.
    """

    def __init__(self, names: Sequence[str], environ: Mapping[str, str], resource: Callable[[], Resource]) -> None:
        self.exporters: list[Any] = []
        self.provider = SdkLoggerProvider(resource=resource(), shutdown_on_exit=False)
        for name in names:
            if name == "console":
                self.provider.add_log_record_processor(SimpleLogRecordProcessor(ConsoleLogRecordExporter()))
            elif exporter := log_exporter(environ, resource):
                self._batch(exporter)
        self._handler = OtelHandler(self.provider)

    def _batch(self, exporter: LogRecordExporter) -> None:
        # Bounded by OTEL_BLRP_MAX_QUEUE_SIZE (2,048); full, it drops the oldest. The SDK starts it anew after a fork.
        self.provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        if hasattr(exporter, "begin_shutdown"):
            self.exporters.append(exporter)

    def attach(self) -> None:
        """Takes the root logger's records from here on.

        Called when the application starts and not before: `logging.basicConfig()` does nothing once the root logger
        has a handler, and a service calls it while it is imported.
        """
        attach(self._handler)

    def flush(self, timeout_ms: float) -> None:
        """Exports what there is."""
        self.provider.force_flush(int(timeout_ms))

    def shutdown(self) -> None:
        """Exports what there is and ends."""
        self.provider.shutdown()


def start_logs(
    names: Sequence[str], environ: Mapping[str, str], resource: Callable[[], Resource]
) -> LogPipeline | None:
    """The pipeline, set as the process's logger provider; None when nobody asked or the application has its own."""
    # The API has no public name for "nobody has set one yet".
    if not names or type(_logs.get_logger_provider()).__name__ != "ProxyLoggerProvider":
        return None
    pipeline = LogPipeline(names, environ, resource)
    _logs.set_logger_provider(pipeline.provider)
    return pipeline
