"""Makes sure that each request has one owner of its telemetry, whichever instrumentations came with the service.

FastAPI >= 0.142 has telemetry of its own outside the middleware stack, on as soon as a provider exists; the stock
FastAPIInstrumentor wraps the stack, before or after us. Two owners are two server spans and two sets of metrics.
"""

from __future__ import annotations

from typing import Any, Final

OURS: Final = "otel-sidecar"
STOCK: Final = "stock instrumentor (otel-sidecar adds what it lacks)"
FASTAPI: Final = "FastAPI (otel-sidecar adds what it lacks)"

_STOCK_MIDDLEWARE: Final = ("opentelemetry.instrumentation.asgi", "OpenTelemetryMiddleware")
_NATIVE_SIGNALS: Final = ("tracing", "metrics", "logs")


def silence_fastapi(app: Any) -> bool:
    """Tells FastAPI's own telemetry to stand aside for this application; returns whether it will.

    Its settings are the dict that `FastAPI(telemetry=...)` fills; a FastAPI without them has no telemetry of its own.
    """
    if not hasattr(app, "_native_telemetry"):
        return True
    config = getattr(app, "_telemetry", None)
    if not (isinstance(config, dict) and all(isinstance(config.get(signal), bool) for signal in _NATIVE_SIGNALS)):
        return False
    config.update(dict.fromkeys(_NATIVE_SIGNALS, False))
    return True


def stock_in(stack: Any) -> bool:
    """Whether the stock instrumentor's middleware is in a built middleware stack.

    The stack is asked, not the flag that `instrument_app` sets: that is also set when it came too late to matter.
    """
    seen: set[int] = set()
    while stack is not None and id(stack) not in seen:
        seen.add(id(stack))
        if (type(stack).__module__, type(stack).__name__) == _STOCK_MIDDLEWARE:
            return True
        stack = getattr(stack, "app", None)
    return False
