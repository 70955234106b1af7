"""When to stop: the first signal starts an orderly stop, the second ends at once."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

logger = logging.getLogger(__name__)


class Stop:
    """Waits for the reason to stop. Made inside the running loop."""

    def __init__(self, *, stdin: bool) -> None:
        """`stdin`: the end of standard input is a reason too."""
        self._asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        if stdin:
            loop.add_reader(sys.stdin.fileno(), self._read)

    async def wait(self) -> None:
        """Returns once there is a reason to stop."""
        await self._asked.wait()

    def _signalled(self, number: signal.Signals) -> None:
        if self._asked.is_set():
            logger.warning("%s again: ending at once", number.name)
            logging.shutdown()
            # Nothing may hold this up, no hanging target and no thread. The bridge's state is saved before each scrape.
            os._exit(128 + number)
        logger.info("%s: stopping", number.name)
        self._asked.set()

    def _read(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            logger.info("standard input ended: stopping")
            self._asked.set()
