"""Whatever telemetry does, the service's own exceptions pass and telemetry's do not."""

from __future__ import annotations

import asyncio
import logging

import pytest

from instrumentation.guard import Guard


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_VERSION")


@pytest.mark.usefixtures("production")
def test_failures_are_counted_and_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """The second line says how many there were since."""
    now = 0.0
    guard = Guard(clock=lambda: now)
    with caplog.at_level(logging.WARNING, "instrumentation"):
        for moment in (0.0, 1.0, 59.0, 61.0):
            now = moment
            with guard:
                raise RuntimeError("broken")
    assert guard.failures == 4
    assert [record.getMessage() for record in caplog.records] == [
        "telemetry failed 1 time(s), the service goes on",
        "telemetry failed 3 time(s), the service goes on",
    ]


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_ends_a_program_or_a_task_passes(kind: type[BaseException]) -> None:
    """A guard that swallowed a cancellation would break the service it protects."""
    guard = Guard()
    with pytest.raises(kind), guard:
        raise kind
    assert guard.failures == 0


def test_a_test_run_shows_what_production_hides() -> None:
    """Under pytest the exception is raised."""
    with pytest.raises(RuntimeError), Guard():
        raise RuntimeError
