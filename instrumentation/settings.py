"""What `instrument()` was told, by its arguments and by the standard environment variables, read once.

A variable that cannot be read never stops the service: it is named with its value in `problems`, which the start-up
line's logger says, and its default is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from instrumentation.headers import HeaderCapture, read_capture
from instrumentation.keep import DEFAULT_RATIO, DEFAULT_SLOW_S, KeepRules

SIDECAR_METRICS: Final = "OTEL_SIDECAR_METRICS"
DEFAULT_SIDECAR_METRICS: Final = "127.0.0.1:9464"
# Ours, not the specification's 60 s: a dead worker's last interval is what can be lost.
DEFAULT_EXPORT_INTERVAL_MS: Final = 5_000.0
# What a model that runs in an `async def` easily exceeds, and a collection of garbage does not.
DEFAULT_LOOP_BLOCKED_S: Final = 0.25
# The sidecar may listen on every address of the pod; the service asks it on loopback.
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - looked up, never bound
EXPORTERS: Final = ("otlp", "console", "none")
KEEP_RATIO: Final = "OTEL_SIDECAR_KEEP_RATIO"
SLOW: Final = "OTEL_SIDECAR_SLOW"
RUNTIME: Final = "OTEL_SIDECAR_RUNTIME"
LOOP_BLOCKED: Final = "OTEL_SIDECAR_LOOP_BLOCKED"
# The name that the stock logging instrumentation has for it.
LOG_CORRELATION: Final = "OTEL_PYTHON_LOG_CORRELATION"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `instrument()` acts on.

    Attributes:
        service_name: the code's name for the service; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over it.
        service_version: likewise.
        metrics_path: where the service's own port answers with the pod's metrics; None: nowhere.
        sidecar_metrics: `host:port` of the sidecar's metrics, read from `OTEL_SIDECAR_METRICS`.
        export_interval_s: seconds between metric exports (`OTEL_METRIC_EXPORT_INTERVAL`, milliseconds).
        shutdown_timeout_s: seconds that flushing may hold back the end of the process.
        disabled: `OTEL_SDK_DISABLED`.
        traces: exporters of spans (`OTEL_TRACES_EXPORTER`): `otlp`, `console`; empty: none.
        metrics: exporters of metrics (`OTEL_METRICS_EXPORTER`), likewise.
        excluded_urls: requests whose URL one of these finds have no telemetry
            (`OTEL_PYTHON_FASTAPI_EXCLUDED_URLS`, else `OTEL_PYTHON_EXCLUDED_URLS`).
        stable_http_by_stock: the stock instrumentor, if there, writes the stable HTTP metrics
            (`OTEL_SEMCONV_STABILITY_OPT_IN`).
        buckets: histogram boundaries by metric name, in the metric's unit.
        response_header: every response tells its trace in a `traceparent` header.
        headers: which headers server spans carry (`OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*`); None: none.
        keep: which traces are marked to be kept (`OTEL_SIDECAR_KEEP_RATIO`, `OTEL_SIDECAR_SLOW`).
        runtime: metrics of the process, its event loop, garbage collector, threads, GPUs (`OTEL_SIDECAR_RUNTIME`).
        loop_blocked_s: seconds from which on a blocked event loop is reported with its stack
            (`OTEL_SIDECAR_LOOP_BLOCKED`).
        log_correlation: log records carry the ids of their trace (`OTEL_PYTHON_LOG_CORRELATION`).
        logs: exporters of log records (`OTEL_LOGS_EXPORTER`); unlike those of traces and metrics, none by default.
        problems: sentences about what could not be read.
    """

    service_name: str | None = None
    service_version: str | None = None
    metrics_path: str | None = "/metrics"
    sidecar_metrics: str = DEFAULT_SIDECAR_METRICS
    export_interval_s: float = DEFAULT_EXPORT_INTERVAL_MS / 1000
    shutdown_timeout_s: float = 3.0
    disabled: bool = False
    traces: tuple[str, ...] = ("otlp",)
    metrics: tuple[str, ...] = ("otlp",)
    excluded_urls: re.Pattern[str] | None = None
    stable_http_by_stock: bool = False
    buckets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    response_header: bool = False
    headers: HeaderCapture | None = None
    keep: KeepRules = field(default_factory=KeepRules)
    runtime: bool = True
    loop_blocked_s: float = DEFAULT_LOOP_BLOCKED_S
    log_correlation: bool = False
    logs: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def read_settings(
    environ: Mapping[str, str],
    *,
    service_name: str | None = None,
    service_version: str | None = None,
    metrics_path: str | None = "/metrics",
    buckets: Mapping[str, Sequence[float]] | None = None,
    response_header: bool = False,
    slow: float | Mapping[str, float] | None = None,
    runtime: bool = True,
    logs: bool = False,
) -> Settings:
    """Joins arguments and environment.

    Raises:
        ValueError: an argument of the code is wrong (buckets that do not rise, a path without a slash, a threshold
            that is no number above 0). The environment never raises.
    """
    problems: list[str] = []
    if metrics_path is not None and not metrics_path.startswith("/"):
        raise ValueError(f"metrics_path={metrics_path!r}: must start with '/'")
    return Settings(
        service_name=service_name,
        service_version=service_version,
        metrics_path=metrics_path,
        sidecar_metrics=_address(environ, problems),
        export_interval_s=_number(
            environ, "OTEL_METRIC_EXPORT_INTERVAL", DEFAULT_EXPORT_INTERVAL_MS, problems, what="milliseconds above 0"
        )
        / 1000,
        disabled=environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true",
        traces=_exporters(environ, "OTEL_TRACES_EXPORTER", problems),
        metrics=_exporters(environ, "OTEL_METRICS_EXPORTER", problems),
        logs=_exporters(environ, "OTEL_LOGS_EXPORTER", problems, default=()),
        keep=_keep(environ, slow, problems),
        runtime=_switch(environ, RUNTIME, problems, default=runtime),
        loop_blocked_s=_number(environ, LOOP_BLOCKED, DEFAULT_LOOP_BLOCKED_S, problems, what="seconds above 0"),
        log_correlation=_switch(environ, LOG_CORRELATION, problems, default=logs),
        excluded_urls=_excluded(environ, problems),
        stable_http_by_stock=bool({"http", "http/dup"} & set(_words(environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "")))),
        buckets=check_buckets(buckets or {}),
        response_header=response_header,
        headers=read_capture(environ, problems),
        problems=tuple(problems),
    )


def check_buckets(buckets: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    """Histogram boundaries as given in code.

    Raises:
        ValueError: boundaries that are no numbers or do not rise; names the metric and the boundary.
    """
    checked: dict[str, tuple[float, ...]] = {}
    for metric, boundaries in buckets.items():
        values = tuple(float(boundary) for boundary in boundaries)
        for before, after in zip((-math.inf, *values), values, strict=False):
            if not (math.isfinite(after) and before < after):
                raise ValueError(
                    f"buckets[{metric!r}]: boundaries must be finite and rise, found {after} after {before}"
                )
        checked[metric] = values
    return checked


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _address(environ: Mapping[str, str], problems: list[str]) -> str:
    value = environ.get(SIDECAR_METRICS, "").strip()
    host, _, port = value.rpartition(":")
    if not value:
        return DEFAULT_SIDECAR_METRICS
    if not (host and port.isdigit() and 0 < int(port) < 65536):
        problems.append(f"{SIDECAR_METRICS}={value!r}: expected host:port; using {DEFAULT_SIDECAR_METRICS}")
        return DEFAULT_SIDECAR_METRICS
    return f"{_ANY_ADDRESS.get(host, host)}:{port}"


def _number(
    environ: Mapping[str, str],
    name: str,
    default: float,
    problems: list[str],
    *,
    what: str,
    right: Callable[[float], bool] = lambda number: number > 0,
) -> float:
    value = environ.get(name, "").strip()
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and right(number)):
        problems.append(f"{name}={value!r}: expected {what}; using {default:g}")
        return default
    return number


def _is_share(number: float) -> bool:
    return 0 <= number <= 1


def _switch(environ: Mapping[str, str], name: str, problems: list[str], *, default: bool) -> bool:
    value = environ.get(name, "").strip().lower()
    if value not in ("", "true", "false"):
        problems.append(f"{name}={environ[name]!r}: expected true or false; using {str(default).lower()}")
    return value == "true" if value in ("true", "false") else default


def _keep(environ: Mapping[str, str], slow: float | Mapping[str, float] | None, problems: list[str]) -> KeepRules:
    routes = {f"slow[{route!r}]": seconds for route, seconds in slow.items()} if isinstance(slow, Mapping) else {}
    general = slow if isinstance(slow, float | int) else DEFAULT_SLOW_S
    for argument, seconds in {"slow": general, **routes}.items():
        if not seconds > 0:
            raise ValueError(f"{argument}={seconds!r}: must be seconds above 0")
    return KeepRules(
        ratio=_number(environ, KEEP_RATIO, DEFAULT_RATIO, problems, what="a share from 0 to 1", right=_is_share),
        slow_s=_number(environ, SLOW, general, problems, what="seconds above 0"),
        slow_routes=dict(slow) if isinstance(slow, Mapping) else {},
    )


def _exporters(
    environ: Mapping[str, str], name: str, problems: list[str], default: Sequence[str] = ("otlp",)
) -> tuple[str, ...]:
    words = _words(environ.get(name, "")) or default
    if unknown := [word for word in words if word not in EXPORTERS]:
        problems.append(f"{name}={environ[name]!r}: {unknown[0]!r} is none of {', '.join(EXPORTERS)}; ignored")
    return tuple(word for word in words if word in EXPORTERS and word != "none")


def _excluded(environ: Mapping[str, str], problems: list[str]) -> re.Pattern[str] | None:
    name = next((n for n in ("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS") if environ.get(n)), None)
    if name is None:
        return None
    try:
        return re.compile("|".join(_words(environ[name])))
    except re.error as error:
        problems.append(f"{name}={environ[name]!r}: no regular expression ({error}); nothing is excluded")
        return None
