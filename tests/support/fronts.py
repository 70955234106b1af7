"""The sidecar's two receivers on a real loop and real ports inside the test's process, before a stage for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sidecar.batch import Accepted, Batch, Refusal, Signal
from sidecar.http_server import HttpServer
from sidecar.ledger import Ledger
from sidecar.listen import free_address, listen
from sidecar.receive.grpc import grpc_server
from sidecar.receive.http import HttpReceiver
from sidecar.receive.intake import Intake, Route
from sidecar.values import Address
from tests.support.processes import LOOPBACK

T = TypeVar("T")


@dataclass
class Keeper:
    """A stage that keeps what it is given and says what it is told to, the last answer for ever.

    `may_go_on` holds up its answers while it is cleared, which only a slow stage may do.
    """

    says: list[Accepted | Refusal] = field(default_factory=lambda: [Accepted()])
    got: list[Batch] = field(default_factory=list)
    may_go_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_go_on.set()

    def offer(self, batch: Batch) -> Accepted | Refusal:
        self.may_go_on.wait(20)
        answer = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(answer, Accepted):
            self.got.append(batch)
        return answer


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Fronts:
    """Where the receivers listen and what is behind them."""

    http: str
    grpc: str
    intake: Intake
    stage: Keeper
    ledger: Ledger

    def refused(self) -> list[tuple[str, int]]:
        """Reasons and requests."""
        return [(row.reason, row.requests) for row in self.ledger.snapshot().refused]


@contextmanager
def fronts(
    max_body: int = 1 << 20, signals: Sequence[Signal] = tuple(Signal), *, slow: bool = False
) -> Iterator[Fronts]:
    """Both receivers for the length of a block."""
    loop = Loop()
    stage, ledger = Keeper(), Ledger()
    intake = Intake({signal: Route((stage,), "here", slow) for signal in signals}, ledger, max_body, lambda: 42)
    any_port = Address(LOOPBACK, 0)
    sockets = listen("http", any_port)
    grpc_address = free_address("grpc", any_port)
    http_address = Address(LOOPBACK, sockets[0].getsockname()[1])

    async def start() -> tuple[HttpServer, Any]:
        http = HttpServer(HttpReceiver(intake), sockets)
        await http.start()
        server = grpc_server(intake)
        server.add_insecure_port(str(grpc_address))
        await server.start()
        return http, server

    http, server = loop.run(start())
    try:
        yield Fronts(str(http_address), str(grpc_address), intake, stage, ledger)
    finally:
        loop.run(http.stop())
        loop.run(server.stop(0))
        intake.close()
        loop.close()
