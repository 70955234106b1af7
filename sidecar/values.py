"""Reads the values options are given as text; every error says what was found and what is allowed."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_SIZE_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
# gRPC's own limit is a signed 32-bit number, and protobuf has no larger messages.
_MAX_BODY = (1 << 31) - 1
LOG_LEVELS = ("debug", "info", "warning", "error")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_ANY_HOST = {"0.0.0.0", "::"}  # noqa: S104 - to be compared with
_LOOPBACK = {"127.0.0.1", "::1"}
# Names and IPv4 addresses, or what urlsplit leaves of an IPv6 address in brackets; a zone may follow that.
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
_TOKEN = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")  # RFC 9110 §5.6.2


class ValueFormatError(ValueError):
    """A value of the wrong form; the text says what is allowed and goes after the option's name and value."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; port 0 lets the system choose."""

    host: str
    port: int

    def overlaps(self, other: Address) -> bool:
        """Whether only one of two servers could listen, as far as the texts tell."""
        hosts = {self.host, other.host}
        same = len(hosts) == 1 or hosts & _ANY_HOST or (hosts & _LOOPBACK and "localhost" in hosts)
        return bool(same) and self.port == other.port != 0

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the relay sends.

    Attributes:
        url: as given, the ledger's name for the target; it holds no secret.
        grpc: OTLP/gRPC when true, OTLP/HTTP otherwise.
        secure: with TLS.
        host: name or IP address.
        port: TCP port.
        path: before `/v1/traces`, without a slash at its end; HTTP only.
    """

    url: str
    grpc: bool
    secure: bool
    host: str
    port: int
    path: str = ""

    @property
    def place(self) -> tuple[bool, bool, str, int, str]:
        """Where it is, however it was written."""
        return self.grpc, self.secure, self.host, self.port, self.path


@dataclass(frozen=True, slots=True)
class Header:
    """A header sent to targets; `file` names where its value is read from, when `value` is not given itself."""

    name: str
    value: str = ""
    file: str = ""


def address(text: str) -> Address:
    """`HOST:PORT` or `[IPV6]:PORT`."""
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not host or (":" in host and not bracketed):
        raise ValueFormatError("an address is HOST:PORT or [IPV6]:PORT")
    return Address(host[1:-1] if bracketed else host, _port(port))


def address_or_off(text: str) -> Address | None:
    """An address, or None for `off`."""
    return None if text == "off" else address(text)


def size(text: str) -> int:
    """Bytes: `64MiB`, `10MB`, `4096`."""
    match = _NUMBER.fullmatch(text)
    unit = _SIZE_UNITS.get(match[2].upper()) if match else None
    count = int(float(match[1]) * unit) if match and unit else 0
    if count < 1:
        raise ValueFormatError("a size is a number of bytes above 0, plain or with KB, MB, GB, KiB, MiB or GiB")
    return count


def body_size(text: str) -> int:
    """A size that one message can have."""
    count = size(text)
    if count > _MAX_BODY:
        raise ValueFormatError(f"a body has at most {_MAX_BODY} bytes, the most that gRPC and protobuf take")
    return count


def duration(text: str) -> float:
    """Seconds: `5s`, `500ms`, `2m`, `1h`."""
    match = _NUMBER.fullmatch(text)
    unit = _DURATION_UNITS.get(match[2]) if match else None
    if match is None or unit is None:
        raise ValueFormatError("a duration is a number with ms, s, m or h")
    return float(match[1]) * unit


def target(text: str) -> Target:
    """`http(s)://HOST[:PORT][/PATH]` or `grpc(s)://HOST[:PORT]`."""
    allowed = ValueFormatError("a target is http://HOST:PORT, https://…, grpc://HOST:PORT or grpcs://…")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise allowed from None
    if parts.scheme not in {"http", "https", "grpc", "grpcs"} or not parts.hostname:
        raise allowed
    if not _HOST.fullmatch(parts.hostname) or not parts.path.isprintable() or " " in parts.path:
        raise ValueFormatError("a target has no spaces, and its host is a name or an IP address")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueFormatError("a target has no user, query or fragment; secrets go in --forward-header NAME=@FILE")
    grpc = parts.scheme.startswith("grpc")
    prefix = parts.path.rstrip("/")
    if grpc and prefix:
        raise ValueFormatError("a grpc target has no path")
    if prefix.endswith(("/v1/traces", "/v1/logs", "/v1/metrics")):
        raise ValueFormatError("a target is given without /v1/traces, which is added for each signal")
    secure = parts.scheme.endswith("s")
    default = 4317 if grpc else 443 if secure else 80
    return Target(text, grpc, secure, parts.hostname, default if port is None else port, prefix)


def header(text: str) -> Header:
    """`NAME=VALUE` or `NAME=@FILE`."""
    name, equals, value = text.partition("=")
    name, value = name.strip().lower(), value.strip()
    if not equals or not name or not _TOKEN.issuperset(name) or value in {"", "@"} or not value.isprintable():
        raise ValueFormatError("a header is NAME=VALUE or NAME=@FILE")
    return Header(name, file=value[1:]) if value.startswith("@") else Header(name, value)


def path(text: str) -> Path:
    """A file or folder, there or not."""
    if not text:
        raise ValueFormatError("a path is not empty")
    return Path(text)


def log_level(text: str) -> str:
    """A level's name."""
    if text not in LOG_LEVELS:
        raise ValueFormatError(f"a log level is one of {', '.join(LOG_LEVELS)}")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > 65535:
        raise ValueFormatError("a port is a number from 0 to 65535")
    return int(text)
