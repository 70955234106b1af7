"""Every test of this room sees what it recorded itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.memory import Telemetry, forget, set_providers


@pytest.fixture(scope="session", autouse=True)
def _providers() -> None:
    set_providers()


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    forget()
    yield Telemetry()
    forget()
