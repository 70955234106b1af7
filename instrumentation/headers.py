"""Chosen headers as span attributes, because a tenant's or a client's version is often what tells requests apart.

Nothing is recorded unless the variables of the stock instrumentations name it, as lists of regular expressions:
`OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST`, `..._SERVER_RESPONSE`, and `..._SANITIZE_FIELDS` for those
whose values are replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_VARIABLES: Final = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
# The conventions' names without their last part: the header's name in lower case.
_REQUEST: Final = "http.request.header."
_RESPONSE: Final = "http.response.header."
_REDACTED: Final = "[REDACTED]"
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class HeaderCapture:
    """Which headers are recorded.

    Attributes:
        request, response: whole names to record; None for none.
        sanitized: whose values are replaced.
    """

    request: re.Pattern[str] | None = None
    response: re.Pattern[str] | None = None
    sanitized: re.Pattern[str] | None = None

    def of_request(self, headers: Headers) -> dict[str, list[str]]:
        """Span attributes: all values of each chosen request header."""
        return self._of(headers, self.request, _REQUEST)

    def of_response(self, headers: Headers) -> dict[str, list[str]]:
        """Likewise of the response."""
        return self._of(headers, self.response, _RESPONSE)

    def _of(self, headers: Headers, chosen: re.Pattern[str] | None, prefix: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        if chosen is None:
            return found
        for raw, value in headers:
            name = raw.decode("latin-1").lower()
            if chosen.fullmatch(name):
                secret = self.sanitized is not None and self.sanitized.fullmatch(name)
                found.setdefault(prefix + name, []).append(_REDACTED if secret else value.decode("latin-1"))
        return found


def read_capture(environ: Mapping[str, str], problems: list[str]) -> HeaderCapture | None:
    """What the variables ask for; None when that is nothing. What cannot be read is added to `problems`."""
    chosen = {
        part: _pattern(environ, f"{_VARIABLES}{part}", problems)
        for part in ("SERVER_REQUEST", "SERVER_RESPONSE", "SANITIZE_FIELDS")
    }
    if chosen["SERVER_REQUEST"] is None and chosen["SERVER_RESPONSE"] is None:
        return None
    return HeaderCapture(chosen["SERVER_REQUEST"], chosen["SERVER_RESPONSE"], chosen["SANITIZE_FIELDS"])


def _pattern(environ: Mapping[str, str], name: str, problems: list[str]) -> re.Pattern[str] | None:
    words = [word.strip() for word in environ.get(name, "").split(",") if word.strip()]
    if not words:
        return None
    try:
        return re.compile("|".join(f"(?:{word})" for word in words), re.IGNORECASE)
    except re.error as error:
        problems.append(f"{name}={environ[name]!r}: no regular expressions ({error}); no header is chosen by it")
        # Better no header at all than one whose value should have been replaced.
        return re.compile(".*") if name.endswith("SANITIZE_FIELDS") else None
