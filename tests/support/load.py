"""Sends requests to a service from several threads and counts what it really answered, by worker and time."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Load:
    """Requests against one URL path until told to stop, or a fixed number of them.

    Attributes:
        answers: (seconds since the epoch, worker's pid) of each 200.
        failures: requests that got no answer: their worker may have counted them or not.
    """

    host: str
    port: int
    path: str
    threads: int = 4
    requests_each: int | None = None
    answers: list[tuple[float, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def start(self) -> Load:
        self._running = [threading.Thread(target=self._send, daemon=True) for _ in range(self.threads)]
        for thread in self._running:
            thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self.join()

    def join(self) -> None:
        for thread in self._running:
            thread.join(60)
            assert not thread.is_alive()

    def seconds(self) -> float:
        """Between the first answer and the last."""
        return self.answers[-1][0] - self.answers[0][0] if self.answers else 0.0

    def pids(self) -> set[int]:
        return {pid for _, pid in self.answers}

    def answered_by(self, pid: int, since: float = 0.0) -> int:
        return sum(1 for when, who in self.answers if who == pid and when >= since)

    def _send(self) -> None:
        sent = 0
        while not self._stop.is_set() and (self.requests_each is None or sent < self.requests_each):
            sent += 1
            # A connection each, so that the kernel spreads them over the workers.
            connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
            try:
                connection.request("GET", self.path)
                reply = connection.getresponse()
                body = json.loads(reply.read())
                assert reply.status == 200, body
                self.answers.append((time.time(), body["pid"]))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
            finally:
                connection.close()
