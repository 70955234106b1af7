"""A flag wins over its variable, that over the default; a wrong one is one exact sentence."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from sidecar.options import OPTIONS, OptionError, ServeOptions, add_options, as_arguments, is_given, read_options
from sidecar.values import Address, Header


def flags(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(arguments)


def read(*arguments: str, env: Mapping[str, str] | None = None) -> ServeOptions:
    return read_options(flags(*arguments), env or {})


def test_defaults() -> None:
    assert read() == ServeOptions(
        grpc=Address("127.0.0.1", 4317),
        http=Address("127.0.0.1", 4318),
        metrics=Address("127.0.0.1", 9464),
        forward=(),
        forward_header=(),
        contract=None,
        state=None,
        max_body=64 << 20,
        queue_bytes=64 << 20,
        max_age=300,
        recent_bytes=8 << 20,
        drain_timeout=5,
        log_level="info",
        until_stdin_closes=False,
    )


def test_every_setting_is_an_option_with_a_variable() -> None:
    """But for the one that only a supervisor needs."""
    assert [option.field for option in OPTIONS] == [field.name for field in fields(ServeOptions)][:-1]
    env = {
        "OTEL_SIDECAR_GRPC": "off",
        "OTEL_SIDECAR_HTTP": "h:1",
        "OTEL_SIDECAR_METRICS": "h:2",
        "OTEL_SIDECAR_FORWARD": "http://a:1, grpc://b:2,",
        "OTEL_SIDECAR_FORWARD_HEADER": "a=1,b=@f",
        "OTEL_SIDECAR_CONTRACT": "c.yaml",
        "OTEL_SIDECAR_STATE": "/state",
        "OTEL_SIDECAR_MAX_BODY": "1MB",
        "OTEL_SIDECAR_QUEUE_BYTES": "2MB",
        "OTEL_SIDECAR_MAX_AGE": "1m",
        "OTEL_SIDECAR_RECENT_BYTES": "3MB",
        "OTEL_SIDECAR_DRAIN_TIMEOUT": "1s",
        "OTEL_SIDECAR_LOG_LEVEL": "debug",
    }
    assert set(env) == {option.variable for option in OPTIONS}
    options = read(env=env)
    assert options.grpc is None
    assert [target.url for target in options.forward] == ["http://a:1", "grpc://b:2"]
    assert options.forward_header == (Header("a", "1"), Header("b", file="f"))
    assert (options.contract, options.state) == (Path("c.yaml"), Path("/state"))
    assert (options.max_body, options.queue_bytes, options.recent_bytes) == (10**6, 2 * 10**6, 3 * 10**6)
    assert (options.max_age, options.drain_timeout, options.log_level) == (60, 1, "debug")


def test_a_flag_wins_over_its_variable_and_an_empty_variable_is_none() -> None:
    env = {"OTEL_SIDECAR_HTTP": "h:1", "OTEL_SIDECAR_FORWARD": "http://a:1", "OTEL_SIDECAR_GRPC": " "}
    options = read("--http", "h:2", "--forward", "http://b:2", "--forward", "http://c:3", env=env)
    assert options.http == Address("h", 2)
    assert [target.url for target in options.forward] == ["http://b:2", "http://c:3"]
    assert options.grpc == Address("127.0.0.1", 4317)


@pytest.mark.parametrize(
    ("arguments", "env", "message"),
    [
        (["--http", "4318"], {}, "--http '4318': an address is HOST:PORT or [IPV6]:PORT, or off"),
        (["--metrics", "off"], {}, "--metrics 'off': an address is HOST:PORT or [IPV6]:PORT"),
        ([], {"OTEL_SIDECAR_GRPC": "x:y"}, "OTEL_SIDECAR_GRPC 'x:y': a port is a number from 0 to 65535, or off"),
        (
            ["--queue-bytes", "lots"],
            {},
            "--queue-bytes 'lots': a size is a number of bytes above 0, plain or with KB, MB, GB, KiB, MiB or GiB",
        ),
        (
            [],
            {"OTEL_SIDECAR_DRAIN_TIMEOUT": "5"},
            "OTEL_SIDECAR_DRAIN_TIMEOUT '5': a duration is a number with ms, s, m or h",
        ),
        (
            ["--grpc", "off", "--http", "off"],
            {},
            "--grpc off and --http off: nothing would be received; leave one of them on",
        ),
        (["--forward-header", "a=b"], {}, "--forward-header without --forward: there is no target to send it to"),
        (
            ["--forward", "http://a:1", "--forward", "http://a:1"],
            {},
            "--forward http://a:1 http://a:1: a target is named twice; each may be given once",
        ),
        (
            [],
            {"OTEL_SIDECAR_FORWARD": "http://a, http://A:80/"},
            "OTEL_SIDECAR_FORWARD http://a http://A:80/: a target is named twice; each may be given once",
        ),
        (
            ["--forward", "http://a b:80"],
            {},
            "--forward 'http://a b:80': a target has no spaces, and its host is a name or an IP address",
        ),
        (
            ["--forward", "http://a:80", "--forward-header", "A=@"],
            {},
            "--forward-header 'A=@': a header is NAME=VALUE or NAME=@FILE",
        ),
        (
            ["--max-body", "2GiB"],
            {},
            "--max-body '2GiB': a body has at most 2147483647 bytes, the most that gRPC and protobuf take",
        ),
        (
            [],
            {"OTEL_SIDECAR_MAX_BODY": "3000MB"},
            "OTEL_SIDECAR_MAX_BODY '3000MB': a body has at most 2147483647 bytes, the most that gRPC and protobuf take",
        ),
        (
            ["--grpc", "127.0.0.1:4318"],
            {},
            "--grpc and --http both name 127.0.0.1:4318; each needs its own port",
        ),
        (
            ["--metrics", "0.0.0.0:4317"],
            {"OTEL_SIDECAR_GRPC": "localhost:4317"},
            "OTEL_SIDECAR_GRPC and --metrics both name localhost:4317 (0.0.0.0:4317); each needs its own port",
        ),
        (["--max-age", "0s"], {}, "--max-age '0s': everything would be dropped at once; a duration above 0 is needed"),
    ],
)
def test_wrong_settings(arguments: list[str], env: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError) as raised:
        read(*arguments, env=env)
    assert str(raised.value) == message


def test_a_contradiction_names_the_variable_where_that_was_used() -> None:
    with pytest.raises(OptionError, match=r"^OTEL_SIDECAR_MAX_AGE '0s': "):
        read(env={"OTEL_SIDECAR_MAX_AGE": "0s"})
    with pytest.raises(OptionError, match=r"^--grpc off and OTEL_SIDECAR_HTTP off: "):
        read("--grpc", "off", env={"OTEL_SIDECAR_HTTP": "off"})


def test_addresses_that_do_not_collide() -> None:
    """Port 0 is another one each time, and a receiver that is off has none."""
    read("--grpc", "h:0", "--http", "h:0", "--metrics", "h:0")
    read("--grpc", "off", "--http", "h:1", "--metrics", "g:1")
    read("--grpc", "127.0.0.1:1", "--http", "[::1]:1")


def test_help_names_every_variable_and_default() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    text = " ".join(parser.format_help().split())
    for option in OPTIONS:
        assert f"--{option.name} " in text
        assert f"({option.variable}; default: {option.default or 'none'})" in text


def test_flags_can_be_passed_on() -> None:
    """As `run` does to its sidecar."""
    given = flags("--http", "h:1", "--forward", "http://a:1", "--forward", "http://b:1", "--max-age", "1m")
    assert read(*as_arguments(given)) == read_options(given, {})


def test_whether_somebody_asked() -> None:
    assert is_given("http", flags("--http", "h:1"), {})
    assert is_given("http", flags(), {"OTEL_SIDECAR_HTTP": "h:1"})
    assert not is_given("http", flags("--grpc", "h:1"), {"OTEL_SIDECAR_GRPC": "h:1"})
