from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instrumentation.otlp.retry import RETRYABLE_STATUSES, backoff_s, retry_after_s

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_only_the_statuses_of_otlp_are_tried_again() -> None:
    assert {429, 502, 503, 504} == RETRYABLE_STATUSES


def test_backoff_doubles_up_to_a_bound_and_is_spread_by_half() -> None:
    assert [backoff_s(n, 1.0) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert [backoff_s(n, 0.0) for n in (1, 2, 3)] == [0.25, 0.5, 1]
    assert backoff_s(10_000, 1.0) == 8


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7),
        (" 1.5 ", 1.5),
        ("0", 0.1),
        ("-3", 0.1),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        (format_datetime(NOW + timedelta(seconds=9), usegmt=True), 9),
        ("Sun, 01 Mar 2026 12:00:04 -0000", 4),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.1),
    ],
)
def test_retry_after_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW.timestamp()) == seconds


@settings(deadline=None)
@given(st.text() | st.from_regex(r"(Mon, )?[0-9]{1,2} Jan [0-9]{1,5} [0-9:]{1,9} [+-]?[0-9A-Z]{0,5}"))
def test_no_retry_after_raises(header: str) -> None:
    seconds = retry_after_s(header, 0.0)
    assert seconds is None or seconds >= 0.1
