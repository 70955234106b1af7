"""The standard OTEL_EXPORTER_OTLP_* variables as one frozen value per signal, read once. Pure: takes the environment.

Source: the specification's protocol/exporter.md, and the stock Python exporter where the two differ. A signal's own
variable (`OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`) wins over the general one. An empty variable is an unset one. A wrong
value never stops a service: it becomes a sentence in `problems`, and the default is taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import unquote

from instrumentation.otlp.endpoint import Endpoint

DEFAULT_ENDPOINT: Final = "http://localhost:4318"
_LONG_TIMEOUT_S: Final = 600.0
_LONGEST_TIMEOUT_S: Final = 86_400.0

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
# What the client itself says about the request.
_OWN_HEADERS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"}
)

_Value = TypeVar("_Value")
_Choice = TypeVar("_Choice", bound=StrEnum)


class OtlpSignal(StrEnum):
    """A signal in the words of OTLP's paths (`/v1/traces`)."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class Compression(StrEnum):
    """Values of `OTEL_EXPORTER_OTLP_COMPRESSION`."""

    NONE = "none"
    GZIP = "gzip"
    DEFLATE = "deflate"


class Protocol(StrEnum):
    """Values of `OTEL_EXPORTER_OTLP_PROTOCOL`; this package speaks the first."""

    HTTP_PROTOBUF = "http/protobuf"
    HTTP_JSON = "http/json"
    GRPC = "grpc"


class Temporality(StrEnum):
    """Values of `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`."""

    CUMULATIVE = "cumulative"
    DELTA = "delta"
    LOWMEMORY = "lowmemory"


class HistogramKind(StrEnum):
    """Values of `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`."""

    EXPLICIT = "explicit_bucket_histogram"
    EXPONENTIAL = "base2_exponential_bucket_histogram"


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """How one signal leaves the service.

    Attributes:
        signal: what is sent.
        endpoint: where to. The default host is the specification's `localhost`: both of its addresses are tried.
        headers: name (lower case) and value of each header to add; values may be secrets.
        timeout_s: seconds one export may take, all tries and pauses together.
        final_timeout_s: seconds all exports together may still take once the shutdown has begun.
        compression: of the request's body.
        certificate: PEM file of the authorities to trust; the system's when None.
        client_key: PEM file of the key of `client_certificate`, when it is not in that file itself.
        client_certificate: PEM file to show to the server.
        protocol: what the environment asks for. Other than `http/protobuf` is not for these exporters.
        temporality: preference for metrics.
        histogram: aggregation of histograms without a view of their own.
        problems: one sentence for each variable whose value could not be used.
    """

    signal: OtlpSignal
    endpoint: Endpoint
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout_s: float = 10.0
    final_timeout_s: float = 2.0
    compression: Compression = Compression.NONE
    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None
    protocol: Protocol = Protocol.HTTP_PROTOBUF
    temporality: Temporality = Temporality.CUMULATIVE
    histogram: HistogramKind = HistogramKind.EXPLICIT
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, environ: Mapping[str, str], signal: OtlpSignal) -> OtlpSettings:
        """The signal's settings from an environment. Raises nothing: see `problems`."""
        variables = _Variables(environ, signal)
        return cls(
            signal=signal,
            endpoint=variables.endpoint(),
            headers=variables.headers(),
            timeout_s=variables.timeout_s(),
            compression=variables.one_of("COMPRESSION", Compression.NONE),
            certificate=variables.text("CERTIFICATE"),
            client_key=variables.text("CLIENT_KEY"),
            client_certificate=variables.text("CLIENT_CERTIFICATE"),
            protocol=variables.one_of("PROTOCOL", Protocol.HTTP_PROTOBUF),
            temporality=variables.one_of("METRICS_TEMPORALITY_PREFERENCE", Temporality.CUMULATIVE),
            histogram=variables.one_of("METRICS_DEFAULT_HISTOGRAM_AGGREGATION", HistogramKind.EXPLICIT),
            problems=tuple(variables.problems),
        )


class _Variables:
    """Looks options up, the signal's own before the general, and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str], signal: OtlpSignal) -> None:
        self._environ = environ
        self._signal = signal
        self.problems: list[str] = []

    def _find(self, option: str) -> tuple[str, str] | None:
        for name in (f"OTEL_EXPORTER_OTLP_{self._signal.upper()}_{option}", f"OTEL_EXPORTER_OTLP_{option}"):
            if value := self._environ.get(name, "").strip():
                return name, value
        return None

    def text(self, option: str) -> str | None:
        found = self._find(option)
        return found[1] if found else None

    def _read(self, option: str, parse: Callable[[str], _Value], default: _Value) -> _Value:
        found = self._find(option)
        if found is None:
            return default
        name, value = found
        try:
            return parse(value)
        except ValueError as error:
            self.problems.append(f"{name}={value!r}: {error}; {default!s} is used")
            return default

    def one_of(self, option: str, default: _Choice) -> _Choice:
        kind = type(default)

        def parse(value: str) -> _Choice:
            try:
                return kind(value.lower())
            except ValueError:
                raise ValueError(f"it is none of {', '.join(kind)}") from None

        return self._read(option, parse, default)

    def timeout_s(self) -> float:
        """Seconds, as Python's stock exporter reads it; the specification says milliseconds."""

        def parse(value: str) -> float:
            try:
                seconds = float(value)
            except ValueError:
                seconds = 0.0
            if not 0 < seconds <= _LONGEST_TIMEOUT_S:
                raise ValueError("it is no number of seconds between 0 and a day")
            return seconds

        found, seconds = self._find("TIMEOUT"), self._read("TIMEOUT", parse, 10.0)
        if found and seconds > _LONG_TIMEOUT_S:
            name, value = found
            self.problems.append(
                f"{name}={value!r}: taken as seconds, as Python's stock exporter does; "
                "if milliseconds were meant, divide by 1000"
            )
        return seconds

    def endpoint(self) -> Endpoint:
        path = f"v1/{self._signal}"
        name, general = f"OTEL_EXPORTER_OTLP_{self._signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
        # The signal's own URL is used as it is, the general one is a base (protocol/exporter.md).
        for variable, append in ((name, ""), (general, path)):
            if value := self._environ.get(variable, "").strip():
                try:
                    return Endpoint.parse(value, append)
                except ValueError as error:
                    shown = "(with credentials)" if "@" in value else repr(value)
                    self.problems.append(f"{variable}={shown}: {error}; {DEFAULT_ENDPOINT}/{path} is used")
                    break
        return Endpoint.parse(DEFAULT_ENDPOINT, path)

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Parses `name=value,…` with URL-encoded values; `problems` never shows a value, it may be a secret."""
        found = self._find("HEADERS")
        if found is None:
            return ()
        variable, listing = found
        headers: dict[str, str] = {}
        for position, entry in enumerate(listing.split(","), 1):
            if not entry.strip():
                continue
            name, equals, raw = entry.partition("=")
            name, raw = unquote(name).strip().lower(), raw.strip()
            # A blank says that the value was not URL-encoded; the stock exporter leaves it as it is then.
            value = raw if " " in raw else unquote(raw).strip()
            if not equals or not _HEADER_NAME.fullmatch(name):
                self.problems.append(f"{variable}: entry {position} is not name=value; it is left out")
            elif not value.isprintable():
                self.problems.append(f"{variable}: header {name!r} has control characters in its value; it is left out")
            elif name in _OWN_HEADERS:
                self.problems.append(f"{variable}: header {name!r} is the exporter's own; it is left out")
            else:
                headers[name] = value
        return tuple(headers.items())
