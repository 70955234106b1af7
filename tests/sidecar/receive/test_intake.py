"""One way in: stages in order, nobody counts twice, and the books are right whatever happens."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
import zstandard

from sidecar.batch import Accepted, Batch, Refusal, Signal, Stage
from sidecar.ledger import Ledger, Refused
from sidecar.receive.answer import Content
from sidecar.receive.intake import Intake, Request, Route
from tests.support.otlp_requests import log_body, metric_body, trace_body

T = TypeVar("T")
LIMIT = 1 << 20


@dataclass
class Keeper:
    """A stage that keeps what it is given and says what it is told to."""

    says: Accepted | Refusal | Exception = field(default_factory=Accepted)
    got: list[Batch] = field(default_factory=list)

    def offer(self, batch: Batch) -> Accepted | Refusal:
        if isinstance(self.says, Exception):
            raise self.says
        self.got.append(batch)
        return self.says


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def intakes(ledger: Ledger) -> Iterator[list[Intake]]:
    made: list[Intake] = []
    yield made
    for intake in made:
        intake.close()


def run(coroutine: Coroutine[object, object, T]) -> T:
    return asyncio.run(coroutine)


def make(
    intakes: list[Intake],
    ledger: Ledger,
    *stages: Stage,
    account: str = "",
    signal: Signal = Signal.TRACES,
    slow: bool = False,
) -> Intake:
    intake = Intake({signal: Route(stages, account, slow)}, ledger, LIMIT, lambda: 42)
    intakes.append(intake)
    return intake


def test_a_batch_reaches_every_stage_with_its_count_and_time(intakes: list[Intake], ledger: Ledger) -> None:
    first, second = Keeper(), Keeper()
    body = trace_body(3)
    assert run(make(intakes, ledger, first, second).receive(Request(Signal.TRACES, body))) == Accepted()
    assert first.got == second.got == [Batch(Signal.TRACES, body, 3, 42)]


def test_what_the_first_stage_refuses_nobody_counts(intakes: list[Intake], ledger: Ledger) -> None:
    """The sender repeats it, and it is counted once in the end."""
    full = Refusal(Refused.QUEUE_FULL, "full", 1.0)
    gate, ring = Keeper(full), Keeper()
    intake = make(intakes, ledger, gate, ring)
    assert run(intake.receive(Request(Signal.TRACES, trace_body(5)))) == full
    assert ring.got == []
    gate.says = Accepted()
    assert run(intake.receive(Request(Signal.TRACES, trace_body(5)))) == Accepted()
    assert len(ring.got) == 1
    ledger.open(Signal.TRACES, "target", lambda: 5)
    snapshot = ledger.snapshot()
    assert [row.received for row in snapshot.rows if row.signal is Signal.TRACES] == [5]
    assert [(row.reason, row.requests, row.items) for row in snapshot.refused] == [("queue_full", 1, 5)]


def test_a_later_stage_can_neither_refuse_nor_break_what_the_first_took(intakes: list[Intake], ledger: Ledger) -> None:
    for says in (Refusal("full", "full"), RuntimeError("bug")):
        intake = make(intakes, ledger, Keeper(), Keeper(says))
        assert run(intake.receive(Request(Signal.TRACES, trace_body()))) == Accepted()


def test_a_broken_first_stage_is_an_internal_error(intakes: list[Intake], ledger: Ledger) -> None:
    outcome = run(make(intakes, ledger, Keeper(RuntimeError("bug"))).receive(Request(Signal.TRACES, trace_body())))
    assert outcome == Refusal(Refused.INTERNAL, "Keeper failed; see the sidecar's log")


def test_partial_success_of_what_is_kept_here_is_in_the_books(intakes: list[Intake], ledger: Ledger) -> None:
    bridge = Keeper(Accepted(2, "two are stale"))
    intake = make(intakes, ledger, bridge, account="bridge", signal=Signal.METRICS)
    assert run(intake.receive(Request(Signal.METRICS, metric_body(5)))) == Accepted(2, "two are stale")
    row = next(row for row in ledger.snapshot().rows if row.target == "bridge")
    assert (row.received, row.forwarded, row.dropped, row.missing) == (5, 3, (("rejected", 2),), 0)


def test_a_signal_nobody_takes_is_accepted_and_booked_as_dropped(intakes: list[Intake], ledger: Ledger) -> None:
    assert run(make(intakes, ledger).receive(Request(Signal.LOGS, log_body(4)))) == Accepted()
    row = next(row for row in ledger.snapshot().rows if row.signal is Signal.LOGS)
    assert (row.target, row.received, row.dropped) == ("none", 4, (("no_target", 4),))
    assert ledger.snapshot().balanced


def test_an_empty_request_is_a_success_that_goes_nowhere(intakes: list[Intake], ledger: Ledger) -> None:
    stage = Keeper()
    intake = make(intakes, ledger, stage)
    for request in (Request(Signal.TRACES, b""), Request(Signal.TRACES, b"{}", Content.JSON)):
        assert run(intake.receive(request)) == Accepted()
    assert stage.got == []


def test_large_compressed_and_json_bodies_take_the_same_way(intakes: list[Intake], ledger: Ledger) -> None:
    """They are prepared in a thread; the stages are still called on the loop's."""
    stage = Keeper()
    intake = make(intakes, ledger, stage)
    body = trace_body(3, padding=200_000)
    spans = [{"name": "n" * 10_000}] * 4
    document = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()

    async def both() -> None:
        assert await intake.receive(Request(Signal.TRACES, gzip.compress(body, 0), encoding="gzip")) == Accepted()
        assert await intake.receive(Request(Signal.TRACES, document, Content.JSON)) == Accepted()

    run(both())
    assert stage.got[0].body == body
    assert [batch.items for batch in stage.got] == [3, 4]


async def turns_during(work: Coroutine[object, object, Accepted | Refusal]) -> tuple[Accepted | Refusal, int]:
    """What comes of the work, and how often the loop could do something else meanwhile."""
    task, turns = asyncio.ensure_future(work), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return task.result(), turns


@pytest.mark.parametrize(
    "request_",
    [
        Request(Signal.TRACES, zstandard.compress(b"\x0a\x00" * 400_000), encoding="zstd"),
        Request(Signal.TRACES, gzip.compress(b"\x78\x00" * 400_000), encoding="gzip"),
        Request(Signal.TRACES, b"\x0a\x00" * 400_000),
        Request(Signal.TRACES, gzip.compress(b'{"resourceSpans":[' + b"{}," * 30_000 + b"{}]}"), Content.JSON, "gzip"),
    ],
    ids=["zstd", "gzip", "plain", "json"],
)
def test_a_small_request_that_is_much_work_does_not_hold_up_the_loop(
    intakes: list[Intake], ledger: Ledger, request_: Request
) -> None:
    """Two bytes make a field, and compressed a hundred of them make one byte."""
    outcome, turns = run(turns_during(make(intakes, ledger).receive(request_)))
    assert outcome == Accepted()
    assert turns > 10


def test_an_ordinary_request_is_not_passed_between_threads(intakes: list[Intake], ledger: Ledger) -> None:
    """A hop costs more than counting 500 spans."""
    body = trace_body(500, padding=1_200)
    for request in (
        Request(Signal.TRACES, body),
        Request(Signal.TRACES, gzip.compress(trace_body(500)), encoding="gzip"),
    ):
        _, turns = run(turns_during(make(intakes, ledger, Keeper()).receive(request)))
        assert turns <= 2


def test_a_slow_stage_is_called_on_a_thread_and_the_books_are_kept_on_the_loop_s(
    intakes: list[Intake], ledger: Ledger
) -> None:
    class Slow(Keeper):
        def offer(self, batch: Batch) -> Accepted | Refusal:
            assert threading.current_thread() is not threading.main_thread()
            time_to_go_on.wait(10)
            return super().offer(batch)

    time_to_go_on = threading.Event()
    bridge = Slow(Accepted(1, "one is stale"))
    intake = make(intakes, ledger, bridge, account="bridge", signal=Signal.METRICS, slow=True)

    async def both() -> tuple[Accepted | Refusal, Accepted | Refusal]:
        metrics = asyncio.ensure_future(intake.receive(Request(Signal.METRICS, metric_body(5))))
        logs = await intake.receive(Request(Signal.LOGS, log_body(2)))
        assert not metrics.done()
        time_to_go_on.set()
        return logs, await metrics

    assert run(both()) == (Accepted(), Accepted(1, "one is stale"))
    row = next(row for row in ledger.snapshot().rows if row.target == "bridge")
    assert (row.received, row.forwarded, row.dropped, row.missing) == (5, 4, (("rejected", 1),), 0)


def test_a_slow_stage_that_breaks_is_an_internal_error(intakes: list[Intake], ledger: Ledger) -> None:
    intake = make(intakes, ledger, Keeper(RuntimeError("bug")), signal=Signal.METRICS, slow=True)
    outcome = run(intake.receive(Request(Signal.METRICS, metric_body(5))))
    assert outcome == Refusal(Refused.INTERNAL, "Keeper failed; see the sidecar's log")


@pytest.mark.parametrize(
    ("request_", "reason", "message"),
    [
        (Request(Signal.LOGS, b"\xff"), Refused.MALFORMED, "logs request: truncated at byte 1, the end of the body"),
        (
            Request(Signal.LOGS, b"[", Content.JSON),
            Refused.MALFORMED,
            "logs request: not JSON: Input data was truncated",
        ),
        (
            Request(Signal.LOGS, gzip.compress(bytes(LIMIT + 1)), encoding="gzip"),
            Refused.TOO_LARGE,
            f"logs request: the body is larger than the limit of {LIMIT} bytes once decompressed",
        ),
        (
            Request(Signal.LOGS, b"\x0a\x00" * 500_001),
            Refused.TOO_LARGE,
            "logs request: more than 500000 items and fields beside them; send smaller requests",
        ),
        (
            Request(Signal.LOGS, b"", encoding="br"),
            Refused.UNSUPPORTED,
            "logs request: content-encoding 'br' is not one of gzip, deflate, zstd, identity",
        ),
    ],
)
def test_unfit_requests(intakes: list[Intake], ledger: Ledger, request_: Request, reason: str, message: str) -> None:
    assert run(make(intakes, ledger).receive(request_)) == Refusal(reason, message)
    assert [(row.signal, row.reason, row.requests) for row in ledger.snapshot().refused] == [(Signal.LOGS, reason, 1)]


def test_while_draining_senders_are_told_to_come_back(intakes: list[Intake], ledger: Ledger) -> None:
    stage = Keeper()
    intake = make(intakes, ledger, stage)
    intake.drain()
    outcome = run(intake.receive(Request(Signal.TRACES, trace_body())))
    assert isinstance(outcome, Refusal)
    assert (outcome.reason, outcome.retry_after_s) == (Refused.DRAINING, 5.0)
    assert stage.got == []
