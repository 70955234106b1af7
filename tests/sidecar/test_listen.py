"""Addresses are taken before anything serves, and one that can't be had is a clear sentence."""

from __future__ import annotations

import socket

import pytest

from sidecar.listen import free_address, listen
from sidecar.options import OptionError
from sidecar.values import Address
from tests.support.processes import LOOPBACK


def test_port_0_becomes_a_real_one() -> None:
    free = free_address("http", Address(LOOPBACK, 0))
    assert free.port > 0
    (listening,) = listen("http", free)
    with listening:
        assert listening.getsockname() == (LOOPBACK, free.port)


def test_a_port_in_use_names_option_variable_and_address() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OptionError) as raised:
            listen("http", Address(LOOPBACK, port))
    assert str(raised.value) == (
        f"--http 127.0.0.1:{port} (or OTEL_SIDECAR_HTTP): another process listens there; choose another address"
    )


def test_an_address_of_another_machine() -> None:
    with pytest.raises(OptionError) as raised:
        listen("metrics", Address("192.0.2.1", 9464))
    assert str(raised.value) == ("--metrics 192.0.2.1:9464 (or OTEL_SIDECAR_METRICS): this machine has no such address")


def test_a_name_nobody_knows() -> None:
    with pytest.raises(OptionError, match=r"^--grpc no\.such\.host\.invalid:1 \(or OTEL_SIDECAR_GRPC\): "):
        listen("grpc", Address("no.such.host.invalid", 1))


def test_every_address_of_a_name_gets_the_same_port() -> None:
    sockets = listen("http", Address("localhost", 0))
    try:
        assert len({taken.getsockname()[1] for taken in sockets}) == 1
    finally:
        for taken in sockets:
            taken.close()
