"""The trace's context follows work into threads and processes by itself."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import anyio.to_thread
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace

from instrumentation.context import carry, extracted, follow_executors, inject, unfollow_executors


@pytest.fixture(autouse=True)
def _following() -> Iterator[None]:
    follow_executors()
    yield
    follow_executors()


@pytest.fixture
def span() -> Iterator[int]:
    """The trace id of a span that is current."""
    with trace.get_tracer("test").start_as_current_span("request") as current:
        yield current.get_span_context().trace_id


def current_trace(*_: object) -> int:
    return trace.get_current_span().get_span_context().trace_id


def test_asyncios_executors_are_followed_into(span: int) -> None:
    """The default pool, a pool of the service's own, `to_thread`, and anyio's threads."""

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as pool:
            return [
                await loop.run_in_executor(None, current_trace),
                await loop.run_in_executor(pool, current_trace),
                await asyncio.to_thread(current_trace),
                await anyio.to_thread.run_sync(current_trace),
            ]

    assert asyncio.run(main()) == [span] * 4


def test_a_pools_worker_does_not_keep_to_the_request_that_started_it() -> None:
    """Work of no trace runs in none, and in the thread nothing is left."""
    with ThreadPoolExecutor(1) as pool:
        with trace.get_tracer("test").start_as_current_span("request") as current:
            (followed,) = pool.map(current_trace, [1])
        assert followed == current.get_span_context().trace_id
        assert pool.submit(current_trace).result() == 0


def test_a_thread_follows_the_work_that_started_it(span: int) -> None:
    """As Python 3.14 can do it; a subclass that has its own `run` is left alone."""
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(current_trace()))
    thread.start()
    thread.join()
    assert seen == [span]


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_process_pools_are_followed_into(method: str, span: int) -> None:
    """The trace goes with the work, pickled."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(current_trace).result(timeout=60) == span


def test_another_process_goes_on_with_a_carried_trace(span: int) -> None:
    """What no executor takes is a dictionary here and a block there."""
    carrier = inject()
    assert set(carrier) <= {"traceparent", "tracestate", "baggage"}
    empty = otel_context.attach(otel_context.Context())
    with extracted(carrier):
        assert current_trace() == span
    assert current_trace() == 0
    otel_context.detach(empty)


def test_a_carried_function_runs_in_the_context_it_was_made_in() -> None:
    """Wherever it is called later."""
    with trace.get_tracer("test").start_as_current_span("request") as current:
        function = carry(current_trace)
    assert current_trace() == 0
    assert function() == current.get_span_context().trace_id


def test_what_was_replaced_is_put_back() -> None:
    """The very functions of before; following twice replaces once."""
    unfollow_executors()
    before = ThreadPoolExecutor.submit, ProcessPoolExecutor.submit, threading.Thread.start, threading.Thread.run
    follow_executors()
    follow_executors()
    assert before[0] is not ThreadPoolExecutor.submit
    unfollow_executors()
    after = ThreadPoolExecutor.submit, ProcessPoolExecutor.submit, threading.Thread.start, threading.Thread.run
    assert after == before


def test_what_somebody_else_has_wrapped_since_stays_and_does_nothing(
    span: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taking ours away would take theirs away."""
    assert span
    ours = ThreadPoolExecutor.submit

    def theirs(self: ThreadPoolExecutor, /, *args: object, **kwargs: object) -> object:
        return ours(self, *args, **kwargs)  # type: ignore[arg-type] # passed on as they came

    with monkeypatch.context() as patch:
        patch.setattr(ThreadPoolExecutor, "submit", theirs)
        unfollow_executors()
        assert ThreadPoolExecutor.submit is theirs
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(current_trace).result() == 0
    ThreadPoolExecutor.submit = ours.__wrapped__  # type: ignore[attr-defined,method-assign] # as it was before this test


def test_exceptions_and_arguments_pass_unchanged(span: int) -> None:
    """Following is not seen by the work."""
    assert span
    boom = KeyError("x")

    def work(*args: int, **kwargs: int) -> tuple[tuple[int, ...], dict[str, int]]:
        if not args:
            raise boom
        return args, kwargs

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work, 1, 2, self=3, fn=4).result() == ((1, 2), {"self": 3, "fn": 4})
        assert pool.submit(work).exception() is boom
