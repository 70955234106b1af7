"""What the demo can be told, read and refused before anything is started."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar import values
from sidecar.values import Target, ValueFormatError


@dataclass(frozen=True, slots=True)
class Settings:
    """What the demo was told: `seconds` to run (None: until stopped), targets, workers, requests per second."""

    seconds: float | None
    forward: tuple[Target, ...]
    workers: int
    rate: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `demo`."""
    parser.add_argument("--for", dest="seconds", metavar="TIME", help="end after this time, e.g. 30s or 2m")
    parser.add_argument(
        "--forward", metavar="URL", action="append", default=[], help="send the traces on to this OTLP endpoint too"
    )
    parser.add_argument("--workers", metavar="N", default="2", help="processes of the service (default: 2)")
    parser.add_argument("--rate", metavar="N", default="25", help="requests per second (default: 25)")


def read_settings(argv: Sequence[str] | None) -> Settings:
    """Reads the command line; ends the process with status 2 and a sentence for a value that can't be used."""
    parser = argparse.ArgumentParser(
        prog="otel-sidecar demo",
        description="Serves a small image classifier with a sidecar, sends it real traffic, shows a live page, and "
        "checks at the end that every request is on /metrics once and has one server span.",
        allow_abbrev=False,
    )
    add_options(parser)
    flags = parser.parse_args(argv)
    return Settings(
        seconds=_seconds(parser, flags.seconds),
        forward=tuple(_target(parser, url) for url in flags.forward),
        workers=_number(parser, "--workers", flags.workers, 64),
        rate=_number(parser, "--rate", flags.rate, 1000),
    )


def _seconds(parser: argparse.ArgumentParser, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = values.duration(text)
    except ValueFormatError as error:
        parser.error(f"--for {text!r}: {error}")
    if seconds == 0:
        parser.error(f"--for {text!r}: a time above 0 is needed")
    return seconds


def _target(parser: argparse.ArgumentParser, url: str) -> Target:
    try:
        return values.target(url)
    except ValueFormatError as error:
        parser.error(f"--forward {url!r}: {error}")


def _number(parser: argparse.ArgumentParser, option: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
        parser.error(f"{option} {text!r}: a number from 1 to {most}")
    return int(text)
