"""What senders write cannot forge or flood the log."""

from __future__ import annotations

import pytest

from sidecar.bridge.notices import MAX_CHARACTERS, Notices


def test_a_thing_is_said_once_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    for _ in range(2):
        notices.once("malformed", "a\nERROR forged", "x" * 10_000)
    (record,) = caplog.records
    assert record.getMessage() == f"malformed: a\\nERROR forged: {'x' * MAX_CHARACTERS}…"
