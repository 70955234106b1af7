"""One target's way: queue → join → try again → time out → send, and an entry in the ledger for whatever comes of it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from sidecar.batch import Batch, Signal
from sidecar.ledger import Dropped, Ledger
from sidecar.receive.wire import count_items
from sidecar.relay.backoff import Backoff
from sidecar.relay.notices import Notices
from sidecar.relay.outcome import Failed, Invalid, Later, Outcome, Sent, TooLarge
from sidecar.relay.queue import Entry, Queue
from sidecar.relay.split import split

# 4 MiB is what a gRPC server takes unless told otherwise.
_JOINED_BYTES = 3 << 20
_LINGER_S = 0.2
_SENDERS = 4
# 3 MiB need that long at 1 Mbit/s.
_TIMEOUT_S = 30.0
# While stopping there is no time for patience.
_DRAINING_PAUSE_S = 0.25

logger = logging.getLogger(__name__)


class Sender(Protocol):
    """Sends one request; says what came of it and raises for nothing but a bug."""

    async def send(self, signal: Signal, body: bytes) -> Outcome:
        """Sends a serialized export request."""
        ...

    async def close(self) -> None:
        """Ends connections."""
        ...


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """Bounds of one target's way: queue in bytes, age in seconds."""

    queue_bytes: int
    max_age: float
    signals: tuple[Signal, ...] = (Signal.TRACES, Signal.LOGS)


class Lane:
    """Sends to one target what is put in, on the event loop's thread."""

    def __init__(self, target: str, sender: Sender, settings: LaneSettings, ledger: Ledger) -> None:
        self.target = target
        self.queue = Queue(settings.queue_bytes)
        self._sender = sender
        self._max_age = settings.max_age
        self._ledger = ledger
        self._notices = Notices(target)
        self._draining = False
        self._filled = asyncio.Event()
        self._enough = asyncio.Event()
        self._hurry = asyncio.Event()
        self._slots = asyncio.Semaphore(_SENDERS)
        self._deliveries: set[asyncio.Task[None]] = set()
        self._pump: asyncio.Task[None] | None = None
        for signal in settings.signals:
            ledger.open(signal, target, partial(self.queue.items, signal))

    def start(self) -> None:
        """Begins to send."""
        self._pump = asyncio.create_task(self._run(), name=f"relay {self.target}")

    def put(self, batch: Batch) -> None:
        """Queues a batch for which the queue has room."""
        self.queue.put(batch, time.monotonic())
        self._filled.set()
        if self.queue.waiting >= _JOINED_BYTES:
            self._enough.set()

    async def drain(self, timeout_s: float) -> None:
        """Sends what waits within the time, books the rest as dropped, and ends."""
        self._draining = True
        for event in (self._filled, self._enough, self._hurry):
            event.set()
        if self._pump is not None:
            await asyncio.wait({self._pump}, timeout=timeout_s)
            late = {self._pump, *self._deliveries}
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for signal in Signal:
            # What was cancelled on its way may have arrived: then it is there and booked as dropped, never the reverse.
            self._drop(signal, self.queue.items(signal), Dropped.SHUTDOWN, "no time was left to send it")
        self._notices.flush()
        await self._sender.close()

    async def _run(self) -> None:
        while True:
            await self._filled.wait()
            if not self.queue:
                if self._draining:
                    break
                self._filled.clear()
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    await self._enough.wait()
            await self._slots.acquire()
            entries = self.queue.take(_JOINED_BYTES)
            if self.queue.waiting < _JOINED_BYTES and not self._draining:
                self._enough.clear()
            delivery = asyncio.create_task(self._deliver(entries))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)
        await asyncio.gather(*self._deliveries)

    async def _deliver(self, entries: list[Entry]) -> None:
        try:
            await self._send(entries)
        except Exception:
            # A bug, not a target's doing. The items stay booked as queued and become `shutdown` in the end.
            logger.exception("%d requests for %s were lost on the way", len(entries), self.target)
        finally:
            self.queue.release(entries)
            self._slots.release()

    async def _send(self, entries: list[Entry]) -> None:
        signal = entries[0].batch.signal
        backoff = Backoff(random.random)
        while entries := self._fresh(entries):
            body = b"".join(entry.batch.body for entry in entries)
            outcome = await self._try(signal, body)
            if isinstance(outcome, Later):
                self._notices.failed(outcome.message)
                del body  # a pause may be long, and the entries hold the same bytes
                await self._pause(backoff.pause(outcome.after_s))
                continue
            self._notices.answered()
            if isinstance(outcome, Invalid | TooLarge) and (halves := _halves(entries, outcome)):
                for half in halves:
                    await self._send(half)
            else:
                self._book(signal, sum(entry.batch.items for entry in entries), outcome)
            return

    async def _try(self, signal: Signal, body: bytes) -> Outcome:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await self._sender.send(signal, body)
        except TimeoutError:
            return Later(f"no answer within {_TIMEOUT_S:g} s")

    async def _pause(self, seconds: float) -> None:
        if self._draining:
            await asyncio.sleep(min(seconds, _DRAINING_PAUSE_S))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    def _fresh(self, entries: list[Entry]) -> list[Entry]:
        oldest = time.monotonic() - self._max_age
        if entries[0].since >= oldest:
            return entries
        for entry in entries:
            if entry.since < oldest:
                self._drop(entry.batch.signal, entry.batch.items, Dropped.EXPIRED, f"waited {self._max_age:g} s")
        return [entry for entry in entries if entry.since >= oldest]

    def _book(self, signal: Signal, items: int, outcome: Outcome) -> None:
        match outcome:
            case Sent(rejected, message):
                rejected = min(rejected, items)
                self.queue.settle(signal, items - rejected)
                self._ledger.forwarded(signal, self.target, items - rejected)
                self._drop(signal, rejected, Dropped.REJECTED, message)
            case Invalid(message):
                self._drop(signal, items, Dropped.INVALID, message)
            case TooLarge(message):
                self._drop(signal, items, Dropped.TOO_LARGE, message)
            case Failed(message, reason):
                self._drop(signal, items, reason, message)

    def _drop(self, signal: Signal, items: int, reason: Dropped, message: str) -> None:
        if items:
            self.queue.settle(signal, items)
            self._ledger.dropped(signal, self.target, reason, items)
            self._notices.dropped(signal, items, reason, message)


def _halves(entries: list[Entry], outcome: Invalid | TooLarge) -> tuple[list[Entry], list[Entry]] | None:
    """Two smaller lots to try one by one; None when the lot is the smallest that makes sense."""
    half = len(entries) // 2
    if half:
        return entries[:half], entries[half:]
    batch = entries[0].batch
    bodies = split(batch.signal, batch.body) if isinstance(outcome, TooLarge) else None
    if bodies is None:
        return None
    items = count_items(batch.signal, bodies[0])
    first = replace(batch, body=bodies[0], items=items)
    second = replace(batch, body=bodies[1], items=batch.items - items)
    return [replace(entries[0], batch=first)], [replace(entries[0], batch=second)]
