"""What a target's answer means for the batch that was sent, by status code and never by text.

Sources: opentelemetry.io/docs/specs/otlp (failures, throttling, retryable codes of OTLP/HTTP and OTLP/gRPC).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from sidecar.ledger import Dropped
from sidecar.relay.reply import partial_success, retry_delay

_RETRYABLE_HTTP = frozenset({429, 502, 503, 504})
_UNAUTHORIZED_HTTP = frozenset({401, 403})
_INVALID_ARGUMENT = 3
_RESOURCE_EXHAUSTED = 8
# cancelled, deadline exceeded, aborted, out of range, unavailable, data loss
_RETRYABLE_GRPC = frozenset({1, 4, 10, 11, 14, 15})
_SMALL_BYTES = 256 << 10
_UNAUTHORIZED_GRPC = frozenset({7, 16})


@dataclass(frozen=True, slots=True)
class Sent:
    """The target took the batch, but for `rejected` items of it."""

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Later:
    """Try again, not before `after_s` seconds when the target named a time."""

    message: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Invalid:
    """Something in the batch is wrong."""

    message: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The batch is more than the target takes at once."""

    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The target will never take it, for a reason of the ledger's."""

    message: str
    reason: Dropped = Dropped.FAILED


Outcome: TypeAlias = Sent | Later | Invalid | TooLarge | Failed


def http_outcome(status: int, retry_after: str, content_type: str, body: bytes, now_s: float) -> Outcome:
    """The meaning of an OTLP/HTTP answer; `now_s` is the time, by the epoch, for a Retry-After with a date."""
    if 200 <= status < 300:
        return Sent(*partial_success(body, content_type))
    message = f"HTTP {status}"
    if status in _RETRYABLE_HTTP:
        return Later(message, _retry_after(retry_after, now_s))
    if status == 400:
        return Invalid(message)
    if status == 413:
        return TooLarge(message)
    return Failed(message, Dropped.UNAUTHORIZED if status in _UNAUTHORIZED_HTTP else Dropped.FAILED)


def grpc_outcome(code: int, message: str, details: bytes, size: int) -> Outcome:
    """The meaning of a failed OTLP/gRPC call of `size` bytes; `details` is the value of `grpc-status-details-bin`."""
    if code in _RETRYABLE_GRPC:
        return Later(message, retry_delay(details))
    if code == _RESOURCE_EXHAUSTED:
        delay = retry_delay(details)
        if delay is not None:
            return Later(message, delay)
        # Without RetryInfo a retry is no use. grpc answers so to a message above its limit; a small one hit a quota.
        return TooLarge(message) if size > _SMALL_BYTES else Failed(message)
    if code == _INVALID_ARGUMENT:
        return Invalid(message)
    return Failed(message, Dropped.UNAUTHORIZED if code in _UNAUTHORIZED_GRPC else Dropped.FAILED)


def _retry_after(value: str, now_s: float) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now_s
        except ValueError:
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
