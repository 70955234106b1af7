"""Says once, in one line, what `instrument()` did, because a silent set-up is the one nobody can debug at 3 a.m."""

from __future__ import annotations

import http.client
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from instrumentation.guard import guard

logger = logging.getLogger("instrumentation")

_PROBE_TIMEOUT_S: Final = 1.0
# A native sidecar starts before the service; `otel-sidecar run` and compose start them together.
_TRIES: Final = 5
_BETWEEN_TRIES_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What a sidecar says of itself."""

    version: str
    contract: str | None


def probe(address: str) -> Sidecar | None:
    """Asks the sidecar's /healthz; None when none answers like one."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        reply = connection.getresponse()
        health = json.loads(reply.read(64 * 1024))
        return Sidecar(str(health["version"]), health.get("contract"))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return None
    finally:
        connection.close()


def describe(*, service: str, endpoint: str, owner: str, address: str, sidecar: Sidecar | None) -> str:
    """The line."""
    seen = f"sidecar {sidecar.version} seen at {address}" if sidecar else f"no sidecar seen at {address}"
    contract = (sidecar.contract if sidecar else None) or "none"
    return f"otel-sidecar: service={service} endpoint={endpoint} http={owner} contract={contract} ({seen})"


def announce(line: Callable[[Sidecar | None], str], address: str, *, wait: bool = True) -> threading.Thread:
    """Looks for the sidecar in the background, a few seconds at most, and then says the line."""

    def look() -> None:
        with guard:
            sidecar = None
            for attempt in range(_TRIES if wait else 1):
                if attempt:
                    time.sleep(_BETWEEN_TRIES_S)
                if sidecar := probe(address):
                    break
            say(line(sidecar))

    thread = threading.Thread(target=look, name="otel-sidecar-startup", daemon=True)
    thread.start()
    return thread


def say(line: str) -> None:
    """Logs at INFO; a service that configured no logging for it still sees the line, on stderr."""
    if logger.isEnabledFor(logging.INFO) and logger.hasHandlers():
        logger.info(line)
    else:
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - where nothing else would show it
