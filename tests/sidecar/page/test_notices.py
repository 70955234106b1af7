"""The sentences at the top of the page appear when, and only when, something needs attention."""

from __future__ import annotations

from sidecar.batch import Signal
from sidecar.bridge import BridgeStats
from sidecar.ledger import Ledger
from sidecar.page.figures import Figures, figures
from sidecar.page.notices import Level, Notice, notices
from sidecar.page.readings import Reading
from tests.sidecar.page.pods import ERROR, OK, PREDICTION, duration_of, reading

QUIET = figures(Reading(), Reading(), 60.0, since_start=False)


def said(
    shown: Figures = QUIET, ledger: Ledger | None = None, stats: BridgeStats | None = None, silent_s: float = 0.0
) -> list[str]:
    found = notices(shown, (ledger or Ledger()).snapshot(), stats or BridgeStats(), silent_s=silent_s)
    return [f"{notice.level}: {notice.text}" for notice in found]


def shares(good: int, failed: int) -> Figures:
    read = reading(
        durations=[duration_of(good, 0.01, status="200"), duration_of(failed, 0.01, status="500")],
        counts=[(PREDICTION, OK, good), (PREDICTION, ERROR, failed)],
    )
    return figures(read, read, 60.0, since_start=False)


def test_a_quiet_pod_has_nothing_to_say() -> None:
    """No traffic and no trouble: no sentence."""
    assert said() == []
    assert said(shares(1000, 0)) == []


def test_failing_requests_are_said_with_their_share() -> None:
    """One in fifty warns, one in ten is bad; single failures among few requests are not worth a word."""
    assert said(shares(98, 2)) == [
        "warn: 2.0% of requests failed (5xx).",
        "warn: 2.0% of predictions of catvsdog 1.4.0 failed.",
    ]
    assert said(shares(90, 10)) == [
        "bad: 10.0% of requests failed (5xx).",
        "warn: 10.0% of predictions of catvsdog 1.4.0 failed.",
    ]
    assert said(shares(70, 30))[1].startswith("bad: 30.0% of predictions")
    assert said(shares(3, 1)) == []


def test_a_model_that_is_not_loaded_is_bad() -> None:
    shown = figures(reading(loaded=0), Reading(), 60.0, since_start=False)
    assert said(shown) == ["bad: Model catvsdog 1.4.0 is not loaded."]


def test_lost_data_is_said_with_target_and_reason() -> None:
    """Drops and refusals are never only in a table at the bottom."""
    ledger = Ledger()
    ledger.open(Signal.TRACES, "http://gateway:4318")
    ledger.received(Signal.TRACES, 100)
    ledger.forwarded(Signal.TRACES, "http://gateway:4318", 80)
    ledger.dropped(Signal.TRACES, "http://gateway:4318", "expired", 15)
    ledger.refused(Signal.LOGS, "too_large", 0)
    assert said(ledger=ledger) == [
        "bad: The ledger does not add up for http://gateway:4318: 5 spans in no column.",
        "warn: Dropped on the way to http://gateway:4318: 15 spans (expired).",
        "warn: Requests with logs refused: 1 (too_large).",
    ]


def test_silence_is_said_after_half_a_minute() -> None:
    """Services export every five seconds; a shorter pause is none."""
    assert said(silent_s=12) == []
    assert said(silent_s=64) == ["warn: Nothing was received for 64 s: are the services running?"]


def test_what_makes_totals_wrong_is_said() -> None:
    """Forks that counted on, shared identities, too many series, a state that is not saved."""
    stats = BridgeStats(
        workers_ghost=1, workers_shared=2, overflowed={"ml.predictions": {"user": 900, "class": 2}}, state_failures=3
    )
    assert [text.split(":")[0] for text in said(stats=stats)] == ["bad", "warn", "warn", "warn"]
    assert "warn: ml.predictions has too many series; most values has user." in said(stats=stats)


def test_the_worst_comes_first() -> None:
    """Sorted by level, so that the first line is what to read."""
    assert Level.BAD < Level.WARN
    assert Notice(Level.BAD, "x").level.value == "bad"
