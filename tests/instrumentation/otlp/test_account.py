from __future__ import annotations

import logging

import pytest

from instrumentation.otlp.account import REJECTED, Account


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account(clock: Clock) -> Account:
    return Account("spans", "http://place", clock)


def test_losses_are_counted_by_reason(account: Account) -> None:
    account.exported(5)
    for count, reason in ((2, "connection"), (3, "timeout"), (4, "connection")):
        account.lost(count, reason, "words")
    assert account.stats.exported == 5
    assert account.stats.failed == {"connection": 6, "timeout": 3}
    assert account.stats.lost == 9


def test_the_first_loss_is_said_at_once_and_later_ones_together(
    account: Account, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(121):
        clock.now = 1000.0 + second
        account.lost(10, "connection", "refused")
    assert caplog.messages == [
        "lost 10 spans for http://place (connection): refused",
        "lost 600 spans for http://place (connection): refused",
        "lost 600 spans for http://place (connection): refused",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_recovery_is_said_once_after_each_warning(
    account: Account, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    account.exported(1)
    account.lost(10, "connection", "refused")
    account.lost(7, "connection", "refused")
    account.exported(1)
    account.exported(1)
    assert caplog.messages[1:] == [
        "spans arrive again at http://place; 7 more were lost since the last warning",
    ]
    caplog.clear()
    # A second outage within the minute is counted, and said with the next warning.
    account.lost(3, "connection", "refused")
    account.exported(1)
    assert caplog.messages == []
    clock.now += 61
    account.lost(1, "timeout", "slow")
    account.exported(1)
    assert caplog.messages == ["lost 4 spans for http://place (timeout): slow", "spans arrive again at http://place"]


def test_single_refused_items_are_no_outage(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        account.exported(9)
        account.lost(1, REJECTED, "too old")
    assert caplog.messages == ["lost 1 spans for http://place (rejected): too old"]
    assert account.stats.failed == {"rejected": 3}


def test_a_servers_remarks_do_not_hide_losses(account: Account, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        account.remark("deprecated")
    account.lost(1, "http_400", "bad")
    clock.now += 60
    account.remark("deprecated")
    remark = "http://place says about the spans it took: deprecated"
    assert caplog.messages == [remark, "lost 1 spans for http://place (http_400): bad", remark]
    assert account.stats.lost == 1


def test_totals_that_did_not_arrive_are_late_and_not_lost(caplog: pytest.LogCaptureFixture) -> None:
    """At 3 a.m. the word "lost" must mean lost."""
    account = Account("data points", "http://place", lambda: 0.0, repeats=True)
    with caplog.at_level(logging.WARNING):
        account.lost(15, "connection", "refused")
    assert caplog.messages == [
        "15 data points did not reach http://place (connection): refused; the next export sends their totals again"
    ]
