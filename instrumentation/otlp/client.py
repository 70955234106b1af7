"""Posts OTLP bodies over one kept connection, within a deadline and whatever the peer does, and never raises.

One client belongs to one exporter. Its exports come one after another (a lock sees to that), so one connection is
enough. Redirects and proxies are not followed: the next hop is a sidecar or a collector.
"""

from __future__ import annotations

import http.client
import math
import os
import random
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from importlib import metadata
from typing import Final

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value

from instrumentation.otlp.forks import after_fork_in_child
from instrumentation.otlp.reply import error_words, partial_success, printable
from instrumentation.otlp.retry import RETRYABLE_STATUSES, backoff_s, retry_after_s
from instrumentation.otlp.settings import Compression, OtlpSettings
from instrumentation.otlp.tls import TlsSettingsError, tls_context
from instrumentation.otlp.transport import Connection, TimeLeft

_LONGEST_REPLY: Final = 64 * 1024
# Cheap levels: telemetry repeats itself, so the first levels already find most of it.
_GZIP_LEVEL: Final = 3
_STALE_TLS: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class Outcome(Enum):
    """How an export ended."""

    OK = auto()
    GAVE_UP = auto()  # another time it may succeed
    PERMANENT = auto()  # the same body will never be taken


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of one body.

    Attributes:
        outcome: how it ended.
        reason: short, from a fixed set, fit for a label: `connection`, `timeout`, `tls`, `shutdown`, `internal`,
            `http_<status>`, `rejected`, and `encode` from before it; empty when the body was taken whole.
        words: what the server or the system said about it, for a person.
        rejected: items the server did not take of an accepted body (OTLP's partial success).
    """

    outcome: Outcome
    reason: str = ""
    words: str = ""
    rejected: int = 0


class OtlpClient:
    """OTLP/HTTP for one signal.

    Args:
        settings: where to and how.
        clock: seconds that never go back.
        wall: seconds since the epoch, for `Retry-After` dates.
        jitter: random numbers from 0 to 1.
    """

    def __init__(
        self,
        settings: OtlpSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock, self._wall, self._jitter = clock, wall, jitter
        self._headers = _headers(settings)
        self._closing_at = math.inf
        self._closed = False
        self._renew()
        after_fork_in_child(self._renew)

    def _renew(self) -> None:
        """Gives a forked child a lock nobody holds and no share in the parent's connection."""
        connection: Connection | None = getattr(self, "_connection", None)
        if connection is not None:
            connection.abandon()
        self._pid = os.getpid()
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        if self._closing_at < math.inf:
            self._closing.set()

    def deadline(self, timeout_s: float | None = None) -> float:
        """The clock's time at which an export that begins now must have ended."""
        limit = self._settings.timeout_s
        return self._clock() + (limit if timeout_s is None else max(0.0, min(limit, timeout_s)))

    def _left(self, deadline: float) -> float:
        return min(deadline, self._closing_at) - self._clock()

    def post(self, body: bytes, deadline: float) -> Posted:
        """Sends a request's body, trying again until the deadline where OTLP allows it. Raises nothing."""
        if self._pid != os.getpid():  # forked by something that does not run Python's hooks
            self._renew()
        token = attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        try:
            return self._post(_compressed(body, self._settings.compression), deadline)
        except Exception as error:  # noqa: BLE001 - telemetry never hurts the service; the caller counts and says it
            return Posted(Outcome.PERMANENT, "internal", f"{type(error).__name__}: {error}")
        finally:
            detach(token)

    def _post(self, body: bytes, deadline: float) -> Posted:
        lock = self._lock
        if not lock.acquire(timeout=max(0.0, self._left(deadline))):
            return Posted(Outcome.GAVE_UP, "timeout", "an earlier export is still under way")
        try:
            if self._closed:
                return Posted(Outcome.PERMANENT, "shutdown", "the exporter is shut down")
            return self._try_until(body, deadline)
        except BaseException:
            self._drop()  # nobody knows what is half said on it
            raise
        finally:
            if self._closed:
                self._drop()
            lock.release()

    def _try_until(self, body: bytes, deadline: float) -> Posted:
        failures = 0
        while True:
            # Once the process is ending, the try under way is the last: a pause would only make the end longer.
            last = self._closing.is_set()
            posted, asked_s = self._try(body, lambda: self._left(deadline))
            if posted.outcome is not Outcome.GAVE_UP or last:
                return posted
            failures += 1
            pause_s = backoff_s(failures, self._jitter()) if asked_s is None else asked_s
            if pause_s >= self._left(deadline):
                return posted
            self._closing.wait(pause_s)

    def _try(self, body: bytes, time_left: TimeLeft) -> tuple[Posted, float | None]:
        """One try, and the seconds the server asks to wait before the next."""
        try:
            response, reply = self._exchange(body, time_left)
        except TimeoutError as error:
            posted = Posted(Outcome.GAVE_UP, "timeout", str(error))
        except TlsSettingsError as error:
            posted = Posted(Outcome.PERMANENT, "tls", str(error))
        except _STALE_TLS as error:
            posted = Posted(Outcome.GAVE_UP, "connection", str(error))
        except ssl.SSLError as error:
            posted = Posted(Outcome.PERMANENT, "tls", str(error))
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            posted = Posted(Outcome.GAVE_UP, "connection", str(error) or type(error).__name__)
        else:
            return self._judge(response, reply)
        self._drop()
        return posted, None

    def _exchange(self, body: bytes, time_left: TimeLeft) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connection
        if connection is not None and connection.stale():
            self._drop()
            connection = None
        if connection is not None:
            try:
                return self._ask(connection, body, time_left)
            except (ConnectionError, *_STALE_TLS):
                # A kept connection that breaks before a byte of the answer was closed by the server between two
                # exports (its idle timeout, a restart): that is no failure of this export, and needs no pause.
                self._drop()
        self._connection = connection = Connection(self._settings.endpoint, lambda: tls_context(self._settings))
        connection.allow(time_left)
        connection.connect()
        return self._ask(connection, body, time_left)

    def _ask(self, connection: Connection, body: bytes, time_left: TimeLeft) -> tuple[http.client.HTTPResponse, bytes]:
        connection.allow(time_left)
        connection.putrequest("POST", self._settings.endpoint.target, skip_host=True, skip_accept_encoding=True)
        for name, value in self._headers:
            connection.putheader(name, value)
        connection.putheader("content-length", str(len(body)))
        broken = False
        try:
            connection.endheaders(body)
        except ConnectionError:
            broken = True  # it may have answered before it hung up: 413 comes so
        response = connection.getresponse()
        try:
            reply = response.read(_LONGEST_REPLY)
            if broken or not response.isclosed():  # not closed: there is more than anyone wants to know
                response.close()
                self._drop()
        except (OSError, http.client.HTTPException):
            # The status is the answer; only the words after it are lost.
            reply = b""
            self._drop()
        return response, reply

    def _judge(self, response: http.client.HTTPResponse, reply: bytes) -> tuple[Posted, float | None]:
        status, content_type = response.status, response.getheader("content-type", "")
        if 200 <= status < 300:
            # A web server that answers anything with a page is not to be read as one that rejected spans.
            rejected, words = partial_success(reply) if "protobuf" in content_type or not content_type else (0, "")
            return Posted(Outcome.OK, "rejected" if rejected else "", words, rejected), None
        words = error_words(reply, content_type)
        if 300 <= status < 400:
            words = f"redirects are not followed (to {response.getheader('location', '')[:200]!r})"
        words = f"HTTP {status} {printable(response.reason)}" + (f": {words}" if words else "")
        if status not in RETRYABLE_STATUSES:
            return Posted(Outcome.PERMANENT, f"http_{status}", words), None
        asked_s = retry_after_s(response.getheader("retry-after"), self._wall())
        return Posted(Outcome.GAVE_UP, f"http_{status}", words), asked_s

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def begin_shutdown(self, timeout_s: float | None = None) -> None:
        """Lets exports go on for `final_timeout_s` at most, all together, and wakes one that waits to try again.

        To be called before the SDK's `shutdown`: that one first waits for its own last exports and only then tells
        the exporter.
        """
        limit = self._settings.final_timeout_s
        seconds = limit if timeout_s is None else max(0.0, min(limit, timeout_s))
        self._closing_at = min(self._closing_at, self._clock() + seconds)
        self._closing.set()

    def shutdown(self, timeout_s: float | None = None) -> None:
        """Takes no more exports, waits for one under way for `final_timeout_s` at most, and closes the connection."""
        self.begin_shutdown(timeout_s)
        self._closed = True
        # A little more than that export may take, so that it is its own end that is waited for.
        lock = self._lock
        if lock.acquire(timeout=max(0.0, self._closing_at - self._clock()) + 0.3):
            try:
                self._drop()
            finally:
                lock.release()


def _compressed(body: bytes, compression: Compression) -> bytes:
    match compression:
        case Compression.GZIP:
            return zlib.compress(body, _GZIP_LEVEL, wbits=31)
        case Compression.DEFLATE:
            return zlib.compress(body, _GZIP_LEVEL)
        case Compression.NONE:
            return body


def _headers(settings: OtlpSettings) -> list[tuple[str, bytes]]:
    headers = {"user-agent": user_agent()}
    if settings.endpoint.authorization:
        headers["authorization"] = settings.endpoint.authorization
    headers |= dict(settings.headers)
    headers |= {"host": settings.endpoint.authority, "content-type": "application/x-protobuf"}
    if settings.compression is not Compression.NONE:
        headers["content-encoding"] = settings.compression.value
    return [(name, value.encode()) for name, value in headers.items()]


@cache
def user_agent() -> str:
    """The exporter and its version, as OTLP asks (protocol/exporter.md, "User Agent")."""
    try:
        version = metadata.version("otel-sidecar")
    except metadata.PackageNotFoundError:  # run from a folder on the path
        version = "0"
    return f"OTel-Sidecar-OTLP-Exporter-Python/{version}"
