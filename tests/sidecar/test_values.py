"""Option values are read as people write them, and wrong ones are told what is allowed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecar.values import (
    Address,
    Header,
    Target,
    ValueFormatError,
    address,
    address_or_off,
    duration,
    header,
    log_level,
    path,
    size,
    target,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:4317", Address("127.0.0.1", 4317)),
        ("[::1]:4317", Address("::1", 4317)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),  # noqa: S104 - only read here
        ("localhost:65535", Address("localhost", 65535)),
    ],
)
def test_addresses_and_back(text: str, expected: Address) -> None:
    assert address(text) == expected
    assert str(expected) == text


def test_off() -> None:
    assert address_or_off("off") is None
    assert address_or_off("h:1") == Address("h", 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("64MiB", 64 << 20), ("10MB", 10_000_000), ("1.5KiB", 1536), ("2 GB", 2 * 10**9), ("7b", 7)],
)
def test_sizes(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("500ms", 0.5), ("5s", 5), ("2m", 120), ("1.5h", 5400), ("0s", 0)])
def test_durations(text: str, expected: float) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://collector:4318", Target("http://collector:4318", False, False, "collector", 4318)),
        ("https://host/otlp/", Target("https://host/otlp/", False, True, "host", 443, "/otlp")),
        ("http://host", Target("http://host", False, False, "host", 80)),
        ("grpc://host", Target("grpc://host", True, False, "host", 4317)),
        ("grpcs://[::1]:443/", Target("grpcs://[::1]:443/", True, True, "::1", 443)),
    ],
)
def test_targets(text: str, expected: Target) -> None:
    assert target(text) == expected


def test_headers() -> None:
    assert header("X-Key=a=b") == Header("x-key", "a=b")
    assert header("authorization = Bearer x") == Header("authorization", "Bearer x")
    assert header("authorization=@/run/secrets/token") == Header("authorization", file="/run/secrets/token")


ADDRESS = "an address is HOST:PORT or [IPV6]:PORT"
PORT = "a port is a number from 0 to 65535"
SIZE = "a size is a number of bytes above 0, plain or with KB, MB, GB, KiB, MiB or GiB"
DURATION = "a duration is a number with ms, s, m or h"
TARGET = "a target is http://HOST:PORT, https://…, grpc://HOST:PORT or grpcs://…"
HEADER = "a header is NAME=VALUE or NAME=@FILE"


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (address, "4317", ADDRESS),
        (address, ":4317", ADDRESS),
        (address, "::1:4317", ADDRESS),
        (address, "host:", PORT),
        (address, "host:65536", PORT),
        (address, "host:٣", PORT),
        (size, "0", SIZE),
        (size, "-1", SIZE),
        (size, "64Mb/s", SIZE),
        (size, "64 meg", SIZE),
        (duration, "5", DURATION),
        (duration, "-5s", DURATION),
        (duration, "5 days", DURATION),
        (target, "collector:4318", TARGET),
        (target, "http://", TARGET),
        (target, "http://host:port", TARGET),
        (target, "ftp://host", TARGET),
        (
            target,
            "http://me:secret@host",
            "a target has no user, query or fragment; secrets go in --forward-header NAME=@FILE",
        ),
        (target, "grpc://host/path", "a grpc target has no path"),
        (
            target,
            "http://host/v1/traces",
            "a target is given without /v1/traces, which is added for each signal",
        ),
        (header, "name", HEADER),
        (header, "=value", HEADER),
        (header, "na me=value", HEADER),
        (header, "name=", HEADER),
        (header, "name=a\nb: c", HEADER),
        (path, "", "a path is not empty"),
        (log_level, "loud", "a log level is one of debug, info, warning, error"),
    ],
)
def test_wrong_values(parse: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(ValueFormatError) as raised:
        parse(text)
    assert str(raised.value) == message
