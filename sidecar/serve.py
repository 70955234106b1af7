"""Puts the rooms together in one process on one event loop, and takes them apart in the order that loses nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from socket import socket
from typing import TYPE_CHECKING

from sidecar.batch import Signal
from sidecar.bridge import Bridge, BridgeSettings
from sidecar.bridge.state import StateError
from sidecar.http_server import HttpServer
from sidecar.ledger import Ledger, describe
from sidecar.listen import listen
from sidecar.options import OptionError, ServeOptions, either
from sidecar.page import page_routes
from sidecar.receive.http import HttpReceiver
from sidecar.receive.intake import Intake, Route
from sidecar.recent import Recent
from sidecar.relay import build_relay
from sidecar.relay.lane import LaneSettings
from sidecar.selfmetrics import SelfMetrics
from sidecar.stop import Stop
from sidecar.values import Address
from sidecar.web import Health, metrics_app

if TYPE_CHECKING:
    import grpc.aio
    from starlette.applications import Starlette

_GRPC_GRACE_S = 2.0

logger = logging.getLogger(__name__)


def serve(options: ServeOptions) -> None:
    """Runs the sidecar until a signal asks it to stop.

    Raises:
        OptionError: a file or an address can't be used; nothing has been served then.
    """
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # it has a line for every malformed request
    settings = _bridge_settings(options)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(options, settings))


async def _serve(options: ServeOptions, settings: BridgeSettings) -> None:
    stop = Stop(stdin=options.until_stdin_closes)
    sidecar = Sidecar(options, settings)
    await sidecar.start()
    # What start-up made lives as long as the process: the collector need never look at it again.
    gc.collect()
    gc.freeze()
    await stop.wait()
    await sidecar.stop()


class Sidecar:
    """All rooms of one sidecar. Made inside the running loop."""

    def __init__(self, options: ServeOptions, settings: BridgeSettings) -> None:
        """Raises OptionError for a file or folder that can't be used."""
        self._options = options
        self._start_ns = time.time_ns()
        self._ledger = Ledger()
        try:
            self._bridge = Bridge(settings)
        except StateError as error:
            raise OptionError(f"{either('state')}: {error}") from error
        self._recent = Recent(options.recent_bytes)
        lanes = LaneSettings(options.queue_bytes, options.max_age)
        self._relay = build_relay(options.forward, options.forward_header, lanes, self._ledger)
        routes = {
            Signal.TRACES: Route((self._recent,), account="recent"),
            # It decodes every point, and a scrape may hold its lock.
            Signal.METRICS: Route((self._bridge,), account="bridge", slow=True),
        }
        if options.forward:
            routes |= {Signal.TRACES: Route((self._relay, self._recent)), Signal.LOGS: Route((self._relay,))}
        self._intake = Intake(routes, self._ledger, options.max_body, time.time_ns)
        self._health: Health | None = None
        self._grpc: grpc.aio.Server | None = None
        self._receiver: HttpServer | None = None
        self._metrics: HttpServer | None = None

    async def start(self) -> None:
        """Takes all addresses, then serves.

        Raises:
            OptionError: an address can't be had; nothing has been served then.
        """
        options = self._options
        grpc_sockets = listen("grpc", options.grpc) if options.grpc else []
        http_sockets = listen("http", options.http) if options.http else []
        metrics_sockets = listen("metrics", options.metrics)
        grpc_address = _bound(options.grpc, grpc_sockets) if options.grpc else None
        for taken in grpc_sockets:  # grpcio binds for itself, and says less when it can't
            taken.close()
        if grpc_address:
            self._bind_grpc(grpc_address)
        self._health = Health(
            version=version("otel-sidecar"),
            contract=str(options.contract) if options.contract else None,
            grpc=str(grpc_address) if grpc_address else None,
            http=str(_bound(options.http, http_sockets)) if options.http else None,
            metrics=str(_bound(options.metrics, metrics_sockets)),
        )
        self._relay.start()
        if http_sockets:
            self._receiver = HttpServer(HttpReceiver(self._intake), http_sockets)
            await self._receiver.start()
        if self._grpc:
            await self._grpc.start()
        self._metrics = HttpServer(self._web(self._health), metrics_sockets)
        await self._metrics.start()
        self._say_where(self._health)

    async def stop(self) -> None:
        """Stops in the order that loses nothing: senders first, then what they sent, the watchers last."""
        if self._health:
            self._health.draining = True
        stopping = [self._receiver.stop()] if self._receiver else []
        if self._grpc:
            stopping.append(self._grpc.stop(_GRPC_GRACE_S))
        await asyncio.gather(*stopping)
        self._intake.drain()
        await self._relay.drain(self._options.drain_timeout)
        for row in self._ledger.snapshot().rows:
            if row.received:
                logger.info("%s", describe(row))
        if self._metrics:
            await self._metrics.stop()
        self._intake.close()
        self._bridge.close()

    def _bind_grpc(self, address: Address) -> None:
        # grpcio is 10 MB of memory that a sidecar without gRPC does not pay.
        from sidecar.receive.grpc import grpc_server

        self._grpc = grpc_server(self._intake)
        try:
            self._grpc.add_insecure_port(str(address))
        except RuntimeError as error:  # somebody was quicker
            raise OptionError(f"{either('grpc')} {address}: {error}") from error

    def _web(self, health: Health) -> Starlette:
        own = SelfMetrics(
            self._ledger,
            version=health.version,
            start_ns=self._start_ns,
            queues=self._relay.queues(),
            recent_bytes=lambda: self._recent.stats().held_bytes,
        )
        page = page_routes(self._bridge, self._recent, self._ledger, version=health.version)
        return metrics_app(self._bridge, own.families, self._ledger, health, page)

    @staticmethod
    def _say_where(health: Health) -> None:
        if health.grpc:
            logger.info("OTLP/gRPC on %s", health.grpc)
        if health.http:
            logger.info("OTLP/HTTP on http://%s", health.http)
        logger.info("metrics and page on http://%s", health.metrics)


def _bound(address: Address, sockets: Sequence[socket]) -> Address:
    return replace(address, port=sockets[0].getsockname()[1])


def _bridge_settings(options: ServeOptions) -> BridgeSettings:
    if options.contract is None:
        return BridgeSettings(state_dir=options.state)
    from sidecar.contract import ContractError, load_contract

    try:
        contract = load_contract(options.contract)
    except ContractError as error:
        raise OptionError(f"{either('contract')}: {error}") from error
    return BridgeSettings(
        views=contract.views, merge=contract.merge, state_dir=options.state, translation=contract.translation
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ModuleNotFoundError:  # not made for every system
        return None
    return uvloop.new_event_loop
