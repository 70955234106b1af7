"""Runs an ASGI app under uvicorn beside others in one process, which uvicorn's own `serve` does not care for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from socket import socket
from typing import Any

from uvicorn import Config, Server

# What senders get for finishing requests that they had begun.
_GRACE_S = 2
# Exporters send every 5 s; closing idle connections sooner would race with their next request.
_KEEP_ALIVE_S = 75


class HttpServer:
    """One app on sockets that listen already."""

    def __init__(self, app: Any, sockets: Sequence[socket]) -> None:
        config = Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
        )
        config.load()
        # Not `Server.serve()`: that takes the process's signals for itself, and there are two servers here.
        self._server = Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._sockets = list(sockets)
        self._ticks: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Accepts connections from now on."""
        await self._server.startup(sockets=self._sockets)
        self._ticks = asyncio.create_task(self._server.main_loop())

    async def stop(self) -> None:
        """Closes the sockets and idle connections at once, busy ones after their request or a grace of 2 s."""
        if self._ticks is None:
            return
        self._server.should_exit = True
        await self._ticks
        await self._server.shutdown(sockets=self._sockets)
