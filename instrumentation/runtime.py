"""The process's providers: made once, made anew in a forked child, flushed and closed within a bound."""

from __future__ import annotations

import atexit
import logging
import multiprocessing.util
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

from instrumentation.exporters import metric_exporter, span_exporter
from instrumentation.guard import guard
from instrumentation.instruments import SCOPE, package_version
from instrumentation.keep import KeptExemplars
from instrumentation.logs.correlation import correlate
from instrumentation.logs.pipeline import start_logs
from instrumentation.meters import ForkSafeMeterProvider
from instrumentation.process.telemetry import ProcessTelemetry
from instrumentation.reader import IntervalReader
from instrumentation.resource import build_resource
from instrumentation.sdk_settings import read_sdk_settings
from instrumentation.settings import Settings

logger = logging.getLogger("instrumentation")


@dataclass(frozen=True, slots=True)
class Providers:
    """Where telemetry goes in this process.

    Attributes:
        tracer: makes spans; the application's own provider when it had set one before us.
        meter: makes metrics, likewise.
        own_traces, own_metrics: whether that provider is ours.
    """

    tracer: trace.TracerProvider
    meter: metrics.MeterProvider
    own_traces: bool
    own_metrics: bool


class Runtime:
    """Owns the providers of the process and what exports from them.

    A provider that the application set itself is used as it is: whoever configured it also exports from it.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        self._environ = environ
        self._resource: tuple[int, Resource] | None = None
        self.readers: list[IntervalReader] = []
        self._exporters: list[Any] = []
        self._sdk = read_sdk_settings(environ)
        for problem in self._sdk.problems:
            logger.warning(problem)
        self._closed = threading.Event()
        self.providers = self._make_providers()
        self.logs = start_logs(settings.logs, environ, self.resource)
        if self.logs:
            self._exporters.extend(self.logs.exporters)
        if settings.log_correlation:
            correlate(str(self.resource().attributes.get("service.name", "")))
        self.process: ProcessTelemetry | None = None
        if settings.runtime:
            with guard:
                meter = self.providers.meter.get_meter(SCOPE, package_version())
                self.process = ProcessTelemetry(meter, settings.buckets, settings.loop_blocked_s)
        atexit.register(self.shutdown)
        # Children of multiprocessing (a server's workers, a process pool's) end without atexit, and forget what their
        # parent has registered: each registers for itself, when it begins or, where we begin later, now.
        multiprocessing.util.register_after_fork(self, Runtime._end_with_child)
        if multiprocessing.parent_process() is not None:
            self._end_with_child()

    def resource(self) -> Resource:
        """The resource of this very process: made anew after a fork."""
        if self._resource is None or self._resource[0] != os.getpid():
            settings = self.settings
            made = build_resource(
                self._environ, service_name=settings.service_name, service_version=settings.service_version
            )
            self._resource = (os.getpid(), made)
        return self._resource[1]

    def _end_with_child(self) -> None:
        multiprocessing.util.Finalize(None, self.shutdown, exitpriority=0)

    def application_built(self) -> None:
        """The service has been imported and its logging set up: log records are taken from here on."""
        if self.logs:
            self.logs.attach()

    def loop_started(self) -> None:
        """An application begins in the running event loop; in a forked child its metrics start here at the latest."""
        if isinstance(self.providers.meter, ForkSafeMeterProvider):
            self.providers.meter.restart_if_forked()
        if self.process:
            self.process.loop_started()

    def loop_stopped(self) -> None:
        """It has ended."""
        if self.process:
            self.process.loop_stopped()

    def flush(self, timeout_s: float | None = None) -> None:
        """Exports what there is, waiting at most `timeout_s` seconds (default: the settings' shutdown timeout)."""
        budget = self.settings.shutdown_timeout_s if timeout_s is None else timeout_s
        self._within(budget, self._flush)

    def shutdown(self, timeout_s: float | None = None) -> None:
        """Exports what there is and closes everything, waiting at most `timeout_s` seconds; once."""
        if self._closed.is_set():
            return
        self._closed.set()
        atexit.unregister(self.shutdown)
        budget = self.settings.shutdown_timeout_s if timeout_s is None else timeout_s
        self._within(budget, self._shutdown)

    def _within(self, budget_s: float, work: Any) -> None:
        """Runs `work(deadline)` in a thread that is left behind when it outlasts the budget.

        The SDK's own bounds are wishes (its batch processor waits for an export however long it takes), and a dead
        endpoint must not hold back the end of the process.
        """
        deadline = time.monotonic() + budget_s
        thread = threading.Thread(target=work, args=(deadline,), name="otel-sidecar-flush", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # At interpreter shutdown no thread can start any more: the exporters' own timeouts bound this.
            work(deadline)
            return
        thread.join(budget_s)
        if thread.is_alive():
            logger.warning("telemetry was not flushed within %.1f s; what is left is lost", budget_s)

    def _flush(self, deadline: float) -> None:
        for reader in self.readers:
            with guard:
                reader.force_flush(_left_ms(deadline))
        if self.providers.own_traces and isinstance(self.providers.tracer, SdkTracerProvider):
            with guard:
                self.providers.tracer.force_flush(int(_left_ms(deadline)))
        if self.logs:
            with guard:
                self.logs.flush(_left_ms(deadline))

    def _shutdown(self, deadline: float) -> None:
        for exporter in self._exporters:
            with guard:
                exporter.begin_shutdown(_left_ms(deadline) / 1000)
        for reader in self.readers:
            with guard:
                reader.shutdown(_left_ms(deadline))
        if self.providers.own_traces and isinstance(self.providers.tracer, SdkTracerProvider):
            with guard:
                self.providers.tracer.shutdown()
        if self.logs:
            with guard:
                self.logs.shutdown()

    def _make_providers(self) -> Providers:
        tracer, meter = trace.get_tracer_provider(), metrics.get_meter_provider()
        own_traces = isinstance(tracer, trace.ProxyTracerProvider)
        # The API has no public name for "nobody has set one yet".
        own_metrics = type(meter).__name__ == "_ProxyMeterProvider"
        if own_metrics:
            meter = ForkSafeMeterProvider(self._start_metrics)
            metrics.set_meter_provider(meter)
        if own_traces:
            tracer = self._start_traces()
            trace.set_tracer_provider(tracer)
        return Providers(tracer=tracer, meter=meter, own_traces=own_traces, own_metrics=own_metrics)

    def _start_metrics(self) -> SdkMeterProvider:
        exporters: list[MetricExporter] = []
        for name in self.settings.metrics:
            if name == "console":
                exporters.append(ConsoleMetricExporter())
            elif exporter := metric_exporter(self._environ, self.resource):
                exporters.append(exporter)
        readers = [IntervalReader(exporter, self.settings.export_interval_s) for exporter in exporters]
        # A filter that the environment asks for is the SDK's to read.
        exemplars = KeptExemplars() if self._sdk.own_exemplars else None
        provider = SdkMeterProvider(
            metric_readers=readers, resource=self.resource(), exemplar_filter=exemplars, shutdown_on_exit=False
        )
        for reader in readers:
            reader.start()
        self.readers = readers
        self._exporters.extend(exporter for exporter in exporters if hasattr(exporter, "begin_shutdown"))
        return provider

    def _start_traces(self) -> SdkTracerProvider:
        sdk = self._sdk
        replaced = {
            argument: SpanLimits.UNSET if limit is None else limit for argument, limit in sdk.replaced_limits.items()
        }
        provider = SdkTracerProvider(
            resource=self.resource(), span_limits=SpanLimits(**replaced), shutdown_on_exit=False
        )
        for name in self.settings.traces:
            if name == "console":
                provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
            elif exporter := span_exporter(self._environ, self.resource):
                provider.add_span_processor(BatchSpanProcessor(exporter, sdk.queue_size, sdk.delay_ms, sdk.batch_size))
                if hasattr(exporter, "begin_shutdown"):
                    self._exporters.append(exporter)
        return provider


def _left_ms(deadline: float) -> float:
    return max(1.0, (deadline - time.monotonic()) * 1000)
