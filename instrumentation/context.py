"""Makes the trace's context follow work into threads and processes, where Python itself leaves it behind.

`asyncio` tasks, `asyncio.to_thread` and anyio carry it by themselves. `loop.run_in_executor`, `concurrent.futures` and
threads do not, and have no hook: `follow_executors` (called by `instrument()`) replaces `ThreadPoolExecutor.submit`,
`ProcessPoolExecutor.submit`, `Thread.start` and `Thread.run`. opentelemetry-instrumentation-threading does so too, but
not for processes; both together do no harm. Traces should hang together without one more package.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import propagate
from opentelemetry.context import Context

from instrumentation.guard import guard

P = ParamSpec("P")
R = TypeVar("R")

_CARRIED: Final = "_otel_sidecar_context"
_NOWHERE: Final = Context()
# The exporters' own threads, which may have to start anew within a request, in a forked child: they are of no request.
_TELEMETRY: Final = ("otel-sidecar", "Otel")
_lock = threading.Lock()
_undo: list[Callable[[], None]] = []
# Looked at in each replaced method: one that somebody else has wrapped since cannot be taken away any more.
_following = False


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run in the context of now wherever it will be called: for what no executor takes.

    For a queue of the service's own, a callback, a thread that was started long before.
    """
    return functools.partial(_run_in, otel_context.get_current(), function)


def inject() -> dict[str, str]:
    """The current trace and baggage as a small picklable dictionary, to go with a message to another process."""
    carrier: dict[str, str] = {}
    with guard:
        propagate.inject(carrier)
    return carrier


@contextmanager
def extracted(carrier: Mapping[str, str]) -> Iterator[None]:
    """Goes on with the trace of `inject()` while the block runs."""
    before = otel_context.get_current()
    with guard:
        otel_context.attach(propagate.extract(carrier, before))
    try:
        yield
    finally:
        otel_context.attach(before)


def follow_executors() -> None:
    """Lets the context follow into executors and threads; once, however often it is called."""
    global _following  # noqa: PLW0603 - the methods it replaces are the process's as well
    with _lock:
        if not _undo:
            _replace(ThreadPoolExecutor, "submit", _thread_submit)
            _replace(ProcessPoolExecutor, "submit", _process_submit)
            _replace(threading.Thread, "start", _thread_start)
            _replace(threading.Thread, "run", _thread_run)
        _following = True


def unfollow_executors() -> None:
    """Puts back what `follow_executors` replaced; what others have wrapped meanwhile stays and does nothing."""
    global _following  # noqa: PLW0603 - see above
    with _lock:
        _following = False
        for undo in _undo:
            undo()
        _undo.clear()


def _replace(owner: type, name: str, make: Callable[[Any], Any]) -> None:
    original = getattr(owner, name)
    ours = functools.wraps(original)(make(original))
    setattr(owner, name, ours)

    def undo() -> None:
        if getattr(owner, name) is ours:
            setattr(owner, name, original)

    _undo.append(undo)


def _run_in(context: Context, function: Callable[..., R], /, *args: Any, **kwargs: Any) -> R:
    before = otel_context.get_current()
    otel_context.attach(context)
    try:
        return function(*args, **kwargs)
    finally:
        otel_context.attach(before)


def _run_from(carrier: Mapping[str, str], function: Callable[..., R], /, *args: Any, **kwargs: Any) -> R:
    """What a process pool's worker runs: of this module, so that it can be pickled."""
    with extracted(carrier):
        return function(*args, **kwargs)


def _thread_submit(original: Any) -> Any:
    def submit(self: ThreadPoolExecutor, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        if not _following:
            future: Future[R] = original(self, fn, *args, **kwargs)
        else:
            # A worker that this starts must not hold on to the request that happens to be the first.
            context = otel_context.get_current()
            future = _run_in(_NOWHERE, original, self, _run_in, context, fn, *args, **kwargs)
        return future

    return submit


def _process_submit(original: Any) -> Any:
    def submit(self: ProcessPoolExecutor, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        carrier = inject() if _following else {}
        if carrier:
            future: Future[R] = _run_in(_NOWHERE, original, self, _run_from, carrier, fn, *args, **kwargs)
        else:
            future = original(self, fn, *args, **kwargs)
        return future

    return submit


def _thread_start(original: Any) -> Any:
    def start(self: threading.Thread) -> None:
        if _following and not self.name.startswith(_TELEMETRY) and (context := otel_context.get_current()):
            setattr(self, _CARRIED, context)
        original(self)

    return start


def _thread_run(original: Any) -> Any:
    def run(self: threading.Thread) -> None:
        context = self.__dict__.pop(_CARRIED, None)
        if context is None:
            original(self)
        else:
            _run_in(context, original, self)

    return run
