"""`instrument(app)`: the one line that gives a service its telemetry."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry import metrics, trace

from instrumentation.context import follow_executors
from instrumentation.exporters import metrics_are_cumulative, traces_endpoint
from instrumentation.exposition import Exposition, ExpositionMiddleware
from instrumentation.guard import guard, logger
from instrumentation.instruments import SCOPE, http_instruments, package_version
from instrumentation.middleware import TelemetryMiddleware
from instrumentation.owner import FASTAPI, OURS, STOCK, silence_fastapi, stock_in
from instrumentation.reader import IntervalReader
from instrumentation.request import Owner, Scope
from instrumentation.routes import matched
from instrumentation.runtime import Runtime
from instrumentation.settings import Settings, read_settings
from instrumentation.startup import announce, describe, say

_MARK: Final = "_otel_sidecar_telemetry"
_lock = threading.Lock()
_runtime: Runtime | None = None
_announced = 0


class Telemetry:
    """What `instrument()` set up for one application.

    Attributes:
        settings: what it was told, arguments and environment joined.
        owner: who makes the server spans of this application.
        endpoint: where spans go.
    """

    def __init__(self, settings: Settings, runtime: Runtime | None) -> None:
        self.settings = settings
        self.owner = OURS
        self.endpoint = (
            traces_endpoint(os.environ) if "otlp" in settings.traces else ",".join(settings.traces) or "none"
        )
        self._runtime = runtime

    @property
    def enabled(self) -> bool:
        """False under `OTEL_SDK_DISABLED=true`: then nothing was set up."""
        return self._runtime is not None

    def flush(self, timeout_s: float | None = None) -> None:
        """Exports what there is now, waiting at most `timeout_s` seconds (default 3); never raises."""
        if self._runtime:
            self._runtime.flush(timeout_s)

    def shutdown(self, timeout_s: float | None = None) -> None:
        """Exports what there is and stops telemetry for the process, within `timeout_s` seconds (default 3)."""
        if self._runtime:
            self._runtime.shutdown(timeout_s)

    def reader(self) -> IntervalReader | None:
        """What collects this process's metrics, when that is ours."""
        readers = self._runtime.readers if self._runtime else []
        return readers[0] if readers else None

    def built(self) -> None:
        """The application is complete: it is about to serve."""
        if self._runtime:
            with guard:
                self._runtime.application_built()

    async def started(self) -> None:
        """The application's lifespan begins: in a forked worker the child's own telemetry must run from here on."""
        if self._runtime:
            with guard:
                self._runtime.loop_started()

    async def stopped(self) -> None:
        """The application's lifespan has ended and the server may end the process at once: flush before."""
        if self._runtime:
            with guard:
                self._runtime.loop_stopped()
        with guard:
            await asyncio.to_thread(self.flush)


def instrument(
    app: Any,
    *,
    service_name: str | None = None,
    service_version: str | None = None,
    metrics_path: str | None = "/metrics",
    buckets: Mapping[str, Sequence[float]] | None = None,
    response_header: bool = False,
    slow: float | Mapping[str, float] | None = None,
    runtime: bool = True,
    logs: bool = False,
) -> Telemetry:
    """Gives a FastAPI (or Starlette) application traces, metrics and `/metrics`; the same object when called again.

    Everything else comes from the standard `OTEL_*` variables. It works with no sidecar running, and never raises for
    what the environment says.

    Args:
        app: the application; before or after its routes, middleware and other instrumentations are added.
        service_name: the service's name unless the environment has one (default: the application's title).
        service_version: likewise.
        metrics_path: where the service's own port answers with the whole pod's metrics; None: nowhere. A route of the
            application's own at that path is left alone.
        buckets: histogram boundaries by metric name, in the metric's unit, where the registry's do not fit.
        response_header: every response tells its trace in a `traceparent` header.
        slow: seconds from which on a request is slow and its trace kept (default 1), or by route: `{"/predict": 0.3}`.
        runtime: metrics of the process: CPU, memory, event loop, garbage collector, threads, GPUs.
        logs: log records of the standard library carry the ids of their trace (docs/logs.md).

    Raises:
        ValueError: an argument is wrong; says which and why.
        TypeError: `app` is no Starlette application.
    """
    if not callable(getattr(app, "build_middleware_stack", None)):
        raise TypeError(f"instrument(app): {type(app).__qualname__} is no FastAPI or Starlette application")
    existing: Telemetry | None = getattr(app, _MARK, None)
    if existing is not None:
        return existing
    settings = read_settings(
        os.environ,
        service_name=service_name or _title(app),
        service_version=service_version,
        metrics_path=metrics_path,
        buckets=buckets,
        response_header=response_header,
        slow=slow,
        runtime=runtime,
        logs=logs,
    )
    for problem in settings.problems:
        logger.warning(problem)
    if settings.disabled:
        say("otel-sidecar: OTEL_SDK_DISABLED=true, nothing is instrumented")
        telemetry = Telemetry(settings, None)
    else:
        telemetry = _set_up(app, settings)
    setattr(app, _MARK, telemetry)
    return telemetry


def _set_up(app: Any, settings: Settings) -> Telemetry:
    """Whatever the SDK makes of its environment, the service starts; without telemetry if it must be."""
    try:
        telemetry = Telemetry(settings, _the_runtime(settings))
        follow_executors()
        _wrap(app, telemetry)
    except Exception:  # noqa: BLE001 - logged with its cause; the service must start
        logger.warning("telemetry could not be set up; the service starts without it", exc_info=True)
        return Telemetry(settings, None)
    return telemetry


def _the_runtime(settings: Settings) -> Runtime:
    """Providers are the process's, not an application's: the first call makes them."""
    global _runtime  # noqa: PLW0603 - OpenTelemetry's providers are set once for a process as well
    with _lock:
        if _runtime is None:
            _runtime = Runtime(settings, os.environ)
        return _runtime


def _title(app: Any) -> str | None:
    title = getattr(app, "title", None)
    return title if isinstance(title, str) and title != "FastAPI" else None


def _wrap(app: Any, telemetry: Telemetry) -> None:
    """Puts our middleware around everything the application does, whenever its stack is built.

    `add_middleware` would put it inside of whatever is added later and of the handler that answers 500.
    """
    native = not silence_fastapi(app)
    meter = metrics.get_meter(SCOPE, package_version())
    instruments = http_instruments(meter, telemetry.settings.buckets)
    build = app.build_middleware_stack

    def built(stack: Any) -> Any:
        stock = stock_in(stack)
        telemetry.owner = FASTAPI if native else STOCK if stock else OURS
        owner = Owner(
            routes=lambda: app.routes,
            tracer=trace.get_tracer(SCOPE, package_version()),
            instruments=instruments,
            stock_inside=stock,
            stock_metrics=native or telemetry.settings.stable_http_by_stock,
            response_header=telemetry.settings.response_header,
            headers=telemetry.settings.headers,
            keep=telemetry.settings.keep,
        )
        middleware = TelemetryMiddleware(
            stack,
            owner,
            excluded=_excluder(telemetry.settings),
            on_start=telemetry.started,
            on_stop=telemetry.stopped,
        )
        telemetry.built()
        _announce(telemetry)
        return _with_exposition(app, middleware, telemetry)

    app.build_middleware_stack = lambda: built(build())
    if app.middleware_stack is not None:
        app.middleware_stack = built(app.middleware_stack)


def _announce(telemetry: Telemetry) -> None:
    """One line for a service, however many applications it mounts and however often their stacks are built."""
    global _announced  # noqa: PLW0603 - said once for a process
    if _announced == os.getpid():
        return
    _announced = os.getpid()
    service = "unknown_service"
    if telemetry._runtime is not None:  # noqa: SLF001 - of this room
        service = str(telemetry._runtime.resource().attributes.get("service.name"))  # noqa: SLF001
    address = telemetry.settings.sidecar_metrics
    announce(
        lambda sidecar: describe(
            service=service, endpoint=telemetry.endpoint, owner=telemetry.owner, address=address, sidecar=sidecar
        ),
        address,
    )


def _excluder(settings: Settings) -> Any:
    pattern, path = settings.excluded_urls, settings.metrics_path

    def excluded(scope: Scope) -> bool:
        asked = scope.get("path", "")
        if asked == path:
            return True
        if pattern is None:
            return False
        headers = dict(scope.get("headers", ()))
        host = headers.get(b"host", b"").decode("latin-1")
        return pattern.search(f"{scope.get('scheme', 'http')}://{host}{asked}") is not None

    return excluded


def _with_exposition(app: Any, inner: TelemetryMiddleware, telemetry: Telemetry) -> Any:
    """Answers `metrics_path` before anything of the application, unless the application has a route there itself."""
    path = telemetry.settings.metrics_path
    if path is None:
        return inner
    exposition = Exposition(
        telemetry.settings.sidecar_metrics, telemetry.reader, cumulative=metrics_are_cumulative(os.environ)
    )
    return ExpositionMiddleware(inner, path, exposition, own=lambda scope: matched(app.routes, scope) == path)
