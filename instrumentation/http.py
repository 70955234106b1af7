"""The stable HTTP conventions as pure functions over the ASGI scope (semconv, HTTP server spans and metrics)."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from opentelemetry.propagators.textmap import Getter

from instrumentation import semconv

Scope = MutableMapping[str, Any]
Headers = Iterable[tuple[bytes, bytes]]

# https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/ : the methods of RFC 9110, PATCH and QUERY.
KNOWN_METHODS: Final = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
OTHER_METHOD: Final = "_OTHER"
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/ : url.query, values to redact by default.
_SECRET_PARAMETERS: Final = frozenset(
    (
        "awsaccesskeyid",
        "signature",
        "sig",
        "x-goog-signature",
        "x-amz-signature",
        "x-amz-credential",
        "x-amz-security-token",
    )
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class HeaderGetter(Getter[Scope]):
    """Reads propagation headers from an ASGI scope; repeated headers are one list, as RFC 9110 joins them."""

    def get(self, carrier: Scope, key: str) -> list[str] | None:
        """All values of one header."""
        name = key.lower().encode("latin-1", "replace")
        values = [value.decode("latin-1") for header, value in carrier["headers"] if header.lower() == name]
        # The baggage propagator looks at the first value alone.
        return [",".join(values)] if values else None

    def keys(self, carrier: Scope) -> list[str]:
        """All header names."""
        return [header.decode("latin-1") for header, _ in carrier["headers"]]


HEADER_GETTER: Final = HeaderGetter()


def method_of(scope: Scope) -> str:
    """`http.request.method`: the method when it is known, else `_OTHER`, so that a client cannot make series."""
    method = scope.get("method", "")
    return method if method in KNOWN_METHODS else OTHER_METHOD


def span_method(method: str) -> str:
    """The method as a span's name has it (semconv: `HTTP` for an unknown one)."""
    return "HTTP" if method == OTHER_METHOD else method


def start_attributes(scope: Scope) -> dict[str, str | int]:
    """What is known when the request begins: the span's attributes that samplers may look at, but for the method."""
    scheme = scope.get("scheme") or "http"
    attributes: dict[str, str | int] = {
        semconv.URL_SCHEME: scheme,
        semconv.URL_PATH: scope.get("path", ""),
    }
    if (method := scope.get("method", "GET")) not in KNOWN_METHODS:
        attributes[semconv.HTTP_REQUEST_METHOD_ORIGINAL] = method
    if query := scope.get("query_string"):
        attributes[semconv.URL_QUERY] = redacted(query)
    if version := scope.get("http_version"):
        attributes[semconv.NETWORK_PROTOCOL_VERSION] = version
    if client := scope.get("client"):
        attributes[semconv.CLIENT_ADDRESS] = client[0]
    headers = dict(scope.get("headers", ()))
    if agent := headers.get(b"user-agent"):
        attributes[semconv.USER_AGENT_ORIGINAL] = agent.decode("latin-1")
    address, port = _server(headers.get(b"host"), scope, scheme)
    if address:
        attributes[semconv.SERVER_ADDRESS] = address
        if port:
            attributes[semconv.SERVER_PORT] = port
    return attributes


def _server(host: bytes | None, scope: Scope, scheme: str) -> tuple[str | None, int | None]:
    """Whom the client asked for: the Host header, else the socket's own address."""
    if host is None:
        address, port = scope.get("server") or (None, None)
        return address, port
    text = host.decode("latin-1")
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        port_text = rest.removeprefix(":")
    else:
        address, _, port_text = text.partition(":")
    if port_text.isdecimal() and len(port_text) <= 5:
        return address, int(port_text)
    return address, _DEFAULT_PORTS.get(scheme)


def redacted(query: bytes) -> str:
    """`url.query` with the values of known signatures and credentials replaced by `REDACTED`."""
    text = query.decode("latin-1")
    lowered = text.lower()
    if not any(secret in lowered for secret in _SECRET_PARAMETERS):
        return text
    pairs = parse_qsl(text, keep_blank_values=True)
    return urlencode([(key, "REDACTED" if key.lower() in _SECRET_PARAMETERS else value) for key, value in pairs])


def error_type(error: BaseException) -> str:
    """`error.type` of an exception: its full name, without the module for Python's own."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
