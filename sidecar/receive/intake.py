"""The one way in for both fronts: undo the compression, check and count, hand to the stages, keep the books.

The stage that may refuse comes first, so that a request which is refused and sent again is counted by nobody twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sidecar.batch import Accepted, Batch, Refusal, Signal, Stage
from sidecar.ledger import Dropped, Ledger, Refused
from sidecar.receive.answer import Content
from sidecar.receive.errors import TooLargeError, UnfitError
from sidecar.receive.inflate import inflate
from sidecar.receive.wire import count_items

# Within these bounds a hop to a thread costs more than the work; beyond them the work would hold up other requests.
# What a body expands to and how many fields it has shows only on the way: then the thread begins anew.
_INLINE_COMPRESSED = 32 << 10
_INLINE_PLAIN = 256 << 10
_INLINE_JSON = 16 << 10
_INLINE_FIELDS = 4_000
#: Items of a request, and fields beside them: in two bytes each, 64 MiB of them would cost minutes in the stages.
#: Exporters send some 500 items at a time, the Collector 8,192; a service with 100,000 series makes as many points.
MAX_FIELDS = 500_000
_RETRY_DRAINING_S = 5.0
_NO_STAGE = "none"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a signal goes.

    Attributes:
        stages: the first may refuse the batch, the others see only what it took.
        account: the ledger's account for what the first stage keeps here; empty when that stage keeps its own books.
        slow: the first stage may take its time over a batch or wait for a lock, so it is called on a thread.
    """

    stages: tuple[Stage, ...] = ()
    account: str = ""
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """An export request as it came in; `encoding` is the content-encoding, empty for none."""

    signal: Signal
    body: bytes
    content: Content = Content.PROTOBUF
    encoding: str = ""


class Intake:
    """Takes requests from the fronts, on the event loop's thread."""

    def __init__(
        self, routes: Mapping[Signal, Route], ledger: Ledger, max_body: int, now_ns: Callable[[], int]
    ) -> None:
        """`max_body`: largest body in bytes, before and after decompression; `now_ns`: the epoch's nanoseconds."""
        self.ledger = ledger
        self.max_body = max_body
        self._routes = {signal: routes.get(signal, Route()) for signal in Signal}
        self._now_ns = now_ns
        self._draining = False
        # One thread each: a second large body waits instead of being decompressed beside the first, and a slow stage
        # holds up its own signal only.
        self._preparing = ThreadPoolExecutor(1, thread_name_prefix="intake")
        self._offering = ThreadPoolExecutor(1, thread_name_prefix="offer")
        for signal, route in self._routes.items():
            if route.account or not route.stages:
                ledger.open(signal, route.account or _NO_STAGE)

    def drain(self) -> None:
        """From now on every request is refused as retryable."""
        self._draining = True

    def close(self) -> None:
        """Ends the threads after their present work."""
        for threads in (self._preparing, self._offering):
            threads.shutdown(wait=False, cancel_futures=True)

    async def receive(self, request: Request) -> Accepted | Refusal:
        """Takes the request or says why not; never raises for what is in it."""
        try:
            prepared = _prepare_small(request, self.max_body)
            if prepared is None:
                prepared = await asyncio.get_running_loop().run_in_executor(
                    self._preparing, _prepare, request, self.max_body, MAX_FIELDS
                )
        except UnfitError as error:
            return self.refuse(request.signal, Refusal(error.reason, f"{request.signal} request: {error}"))
        body, items = prepared
        if self._draining:
            return self.refuse(request.signal, draining(), items)
        return await self._deliver(Batch(request.signal, body, items, self._now_ns()))

    def refuse(self, signal: Signal, refusal: Refusal, items: int = 0) -> Refusal:
        """Enters a refusal in the books; fronts use it for what they refuse themselves."""
        self.ledger.refused(signal, refusal.reason, items)
        return refusal

    async def _deliver(self, batch: Batch) -> Accepted | Refusal:
        if not batch.items:
            return Accepted()  # OTLP: an empty request is a success
        route = self._routes[batch.signal]
        if not route.stages:
            outcome: Accepted | Refusal = Accepted()
        elif route.slow:
            outcome = await asyncio.get_running_loop().run_in_executor(
                self._offering, self._offer, route.stages[0], batch
            )
        else:
            outcome = self._offer(route.stages[0], batch)
        if isinstance(outcome, Refusal):
            return self.refuse(batch.signal, outcome, batch.items)
        self.ledger.received(batch.signal, batch.items)
        if not route.stages:
            self.ledger.dropped(batch.signal, _NO_STAGE, Dropped.NO_TARGET, batch.items)
        elif route.account:
            rejected = min(outcome.rejected, batch.items)
            self.ledger.forwarded(batch.signal, route.account, batch.items - rejected)
            self.ledger.dropped(batch.signal, route.account, Dropped.REJECTED, rejected)
        for stage in route.stages[1:]:
            # Such a stage only looks: what it can't use is not lost, and no reason to make the sender repeat itself.
            self._offer(stage, batch)
        return outcome

    @staticmethod
    def _offer(stage: Stage, batch: Batch) -> Accepted | Refusal:
        try:
            return stage.offer(batch)
        except Exception:
            logger.exception("%s failed on %d items of %s", type(stage).__name__, batch.items, batch.signal)
            return Refusal(Refused.INTERNAL, f"{type(stage).__name__} failed; see the sidecar's log")


def draining() -> Refusal:
    """The refusal while shutting down."""
    return Refusal(Refused.DRAINING, "the sidecar is shutting down", _RETRY_DRAINING_S)


def _prepare_small(request: Request, max_body: int) -> tuple[bytes, int] | None:
    """Like `_prepare`, or None when that is too much work to be done here."""
    compressed = request.encoding not in {"", "identity"}
    if compressed and len(request.body) > _INLINE_COMPRESSED:
        return None
    plain = _INLINE_JSON if request.content is Content.JSON else _INLINE_PLAIN if compressed else max_body
    try:
        return _prepare(request, min(plain, max_body), _INLINE_FIELDS)
    except TooLargeError:
        return None  # perhaps only for here


def _prepare(request: Request, max_body: int, max_fields: int) -> tuple[bytes, int]:
    """The request's body as plain protobuf and the items in it. Pure, so it may run in a thread."""
    body = inflate(request.body, request.encoding, max_body)
    if request.content is Content.JSON:
        from sidecar.receive.transcode import transcode

        body = transcode(request.signal, body)
    return body, count_items(request.signal, body, max_fields)
