"""One Jaeger and one gateway for all end-to-end tests; each test uses a service name of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.collector import Collector, collector
from tests.e2e.jaeger import Jaeger, jaeger


@pytest.fixture(scope="session")
def tracing() -> Iterator[Jaeger]:
    """A running Jaeger."""
    with jaeger() as running:
        yield running


@pytest.fixture(scope="session")
def gateway(tracing: Jaeger) -> Iterator[Collector]:
    """A running gateway that sends to that Jaeger."""
    with collector(tracing.grpc) as running:
        yield running
