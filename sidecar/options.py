"""The settings of `serve`: read once from flags and environment, and refused in one sentence before anything starts."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from sidecar import values
from sidecar.values import Address, Header, Target, ValueFormatError

ENV_PREFIX = "OTEL_SIDECAR_"


class OptionError(ValueError):
    """A setting that can't be used; the text names the option or variable, its value and what is allowed."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `otel-sidecar serve` does; sizes in bytes, times in seconds.

    Attributes:
        grpc: where OTLP/gRPC is received; None for not at all.
        http: where OTLP/HTTP is received; None for not at all.
        metrics: where /metrics, the page and the health checks are served.
        forward: where traces and logs are relayed to, each with a queue of its own.
        forward_header: sent to every target.
        contract: the service's observability.yaml.
        state: folder in which the bridge keeps totals over a restart.
        max_body: largest request body, before and after decompression.
        queue_bytes: what may wait for one target.
        max_age: how long data may wait for a target before it is dropped.
        recent_bytes: recent traces kept for the page.
        drain_timeout: how long a stop may take for sending on what waits.
        log_level: debug, info, warning or error.
        until_stdin_closes: stop when standard input ends, for a parent that may die without a word.
    """

    grpc: Address | None
    http: Address | None
    metrics: Address
    forward: tuple[Target, ...]
    forward_header: tuple[Header, ...]
    contract: Path | None
    state: Path | None
    max_body: int
    queue_bytes: int
    max_age: float
    recent_bytes: int
    drain_timeout: float
    log_level: str
    until_stdin_closes: bool


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its flag, variable and help come from here alone.

    Attributes:
        name: of the flag, without its dashes.
        metavar: what its value looks like.
        default: as text; empty for none.
        help: what it does.
        parse: reads the text; raises ValueFormatError.
        repeated: may be given several times; its variable takes several, separated by commas.
    """

    name: str
    metavar: str
    default: str
    help: str
    parse: Callable[[str], Any]
    repeated: bool = False

    @property
    def field(self) -> str:
        """Its name in ServeOptions."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return ENV_PREFIX + self.field.upper()


_ADDRESS = "HOST:PORT|off"
OPTIONS = (
    Option("grpc", _ADDRESS, "127.0.0.1:4317", "receive OTLP/gRPC here", values.address_or_off),
    Option("http", _ADDRESS, "127.0.0.1:4318", "receive OTLP/HTTP here", values.address_or_off),
    Option("metrics", "HOST:PORT", "127.0.0.1:9464", "serve /metrics, the page and the health checks", values.address),
    Option(
        "forward",
        "URL",
        "",
        "send traces and logs on to http(s)://HOST:PORT or grpc(s)://HOST:PORT, by OTLP; may be repeated",
        values.target,
        repeated=True,
    ),
    Option(
        "forward-header",
        "NAME=VALUE|NAME=@FILE",
        "",
        "header for every target; @FILE is read again when it changes; may be repeated",
        values.header,
        repeated=True,
    ),
    Option("contract", "FILE", "", "the service's observability.yaml", values.path),
    Option("state", "DIR", "", "keep the totals of /metrics here over a restart of the sidecar", values.path),
    Option("max-body", "SIZE", "64MiB", "largest request body, before and after decompression", values.body_size),
    Option("queue-bytes", "SIZE", "64MiB", "what may wait for one target before senders are told to wait", values.size),
    Option("max-age", "TIME", "5m", "drop, and count, what could not be sent on for so long", values.duration),
    Option("recent-bytes", "SIZE", "8MiB", "recent traces kept in memory for the page", values.size),
    Option("drain-timeout", "TIME", "5s", "how long a stop may take to send on what waits", values.duration),
    Option("log-level", "LEVEL", "info", "one of " + ", ".join(values.LOG_LEVELS), values.log_level),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `serve`."""
    for option in OPTIONS:
        parser.add_argument(
            f"--{option.name}",
            metavar=option.metavar,
            action="append" if option.repeated else "store",
            help=f"{option.help} ({option.variable}; default: {option.default or 'none'})",
        )
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="stop when standard input ends: for a supervisor that may die"
    )


def read_options(flags: argparse.Namespace, env: Mapping[str, str]) -> ServeOptions:
    """The settings: a flag wins over its variable, which wins over the default.

    Raises:
        OptionError: a value of the wrong form, or settings that contradict each other.
    """
    options = ServeOptions(
        **{option.field: _read(option, flags, env) for option in OPTIONS},
        until_stdin_closes=flags.until_stdin_closes,
    )
    _check(options, lambda name: _given(_option(name), flags, env)[0])
    return options


def as_arguments(flags: argparse.Namespace) -> list[str]:
    """The flags as a command line again; what came from the environment stays there."""
    arguments = []
    for option in OPTIONS:
        value = getattr(flags, option.field)
        texts = value if isinstance(value, list) else [value]
        arguments += [f"--{option.name}={text}" for text in texts if text is not None]
    return arguments


def is_given(name: str, flags: argparse.Namespace, env: Mapping[str, str]) -> bool:
    """Whether somebody asked for a value of this option."""
    option = _option(name)
    return getattr(flags, option.field) is not None or bool(env.get(option.variable, "").strip())


def either(name: str) -> str:
    """An option and its variable, for errors found where nobody knows any more which of them it was."""
    option = _option(name)
    return f"--{option.name} (or {option.variable})"


def _option(name: str) -> Option:
    return next(option for option in OPTIONS if option.name == name)


def _check(options: ServeOptions, source: Callable[[str], str]) -> None:
    """Refuses settings that contradict each other; `source` says where one of them came from."""
    if options.grpc is None and options.http is None:
        raise OptionError(
            f"{source('grpc')} off and {source('http')} off: nothing would be received; leave one of them on"
        )
    _check_ports(options, source)
    if options.forward_header and not options.forward:
        raise OptionError(f"{source('forward-header')} without --forward: there is no target to send it to")
    for first, second in combinations(options.forward, 2):
        if first.place == second.place:
            urls = f"{source('forward')} {first.url} {second.url}"
            raise OptionError(f"{urls}: a target is named twice; each may be given once")
    if options.max_age == 0:
        raise OptionError(
            f"{source('max-age')} '0s': everything would be dropped at once; a duration above 0 is needed"
        )


def _check_ports(options: ServeOptions, source: Callable[[str], str]) -> None:
    addresses = {"grpc": options.grpc, "http": options.http, "metrics": options.metrics}
    taken = [(name, address) for name, address in addresses.items() if address is not None]
    for (name, one), (other_name, other) in combinations(taken, 2):
        if one.overlaps(other):
            also = "" if one == other else f" ({other})"
            raise OptionError(f"{source(name)} and {source(other_name)} both name {one}{also}; each needs its own port")


def _given(option: Option, flags: argparse.Namespace, env: Mapping[str, str]) -> tuple[str, Sequence[str]]:
    """Where the value comes from, flag or variable, and its texts."""
    flag = getattr(flags, option.field)
    if flag is not None:
        return f"--{option.name}", flag if option.repeated else [flag]
    if text := env.get(option.variable, "").strip():
        return option.variable, _split(text) if option.repeated else [text]
    return f"--{option.name}", [option.default] if option.default else []


def _read(option: Option, flags: argparse.Namespace, env: Mapping[str, str]) -> Any:
    source, texts = _given(option, flags, env)
    read = tuple(_parse(option, source, text) for text in texts)
    if option.repeated:
        return read
    return read[0] if read else None


def _split(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parse(option: Option, source: str, text: str) -> Any:
    try:
        return option.parse(text)
    except ValueFormatError as error:
        off = ", or off" if option.metavar == _ADDRESS else ""
        raise OptionError(f"{source} {text!r}: {error}{off}") from None
