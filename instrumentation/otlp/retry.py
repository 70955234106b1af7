"""When a failed export is tried again, apart from the client, so that it can be tested without one. Pure.

Source: OTLP 1.11, "OTLP/HTTP Response" and "OTLP/HTTP Throttling".
"""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

RETRYABLE_STATUSES: Final = frozenset({429, 502, 503, 504})

_FIRST_BACKOFF_S: Final = 0.5
_LONGEST_BACKOFF_S: Final = 8.0
# A server that says "at once" again and again is not asked more often than this.
_SHORTEST_S: Final = 0.1


def backoff_s(failures: int, jitter: float) -> float:
    """Seconds to wait after so many failures (from 1) in a row.

    Args:
        failures: 1 after the first.
        jitter: 0 to 1, random: the wait is between half of and all of 0.5, 1, 2, 4, 8, 8 … seconds.
    """
    longest = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 10))
    return longest * (0.5 + 0.5 * jitter)


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """Seconds that a `Retry-After` header asks for, in either form (RFC 9110 §10.2.3); None when it says nothing.

    Args:
        value: the header, a number of seconds or an HTTP date.
        now_s: seconds since the epoch.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value.strip())
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_s
    return max(seconds, _SHORTEST_S) if math.isfinite(seconds) else None
