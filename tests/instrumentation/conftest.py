"""Every test of this room sees what it recorded itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.memory import Telemetry, forget, set_providers


@pytest.fixture(scope="session", autouse=True)
def _providers() -> None:
    set_providers()


@pytest.fixture(autouse=True)
def _no_trace_is_kept_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SIDECAR_KEEP_RATIO", "0")


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    forget()
    yield Telemetry()
    forget()
