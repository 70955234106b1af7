"""Real traffic: real pictures over real HTTP, some broken, some slow, at a steady rate, every answer counted."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_BOUNDARY: Final = "otel-sidecar-demo"
_TIMEOUT_S: Final = 30.0
#: A sender that is further behind than this lets go of what it missed rather than make up for it in a burst.
_BEHIND_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = ""


def upload(file: Any) -> Request:
    """A file (name, content type, body) as a browser's form sends it to /predict."""
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
        f"Content-Type: {file.content_type}\r\n\r\n"
    )
    body = head.encode() + file.body + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return Request("POST", "/predict", body, f"multipart/form-data; boundary={_BOUNDARY}")


def script(images: Any) -> Callable[[int], Request]:
    """What the n-th request is: mostly cats and dogs, then the odd, the broken, the slow and the lost.

    `images` is the example's module that makes them; all are made here, so that sending costs little.
    """
    usual = [upload(images.picture("dog" if seed % 2 else "cat", seed)) for seed in range(60)]
    usual += [upload(images.picture("dog" if seed % 2 else "cat", seed, "image/png")) for seed in range(60, 80)]
    unsure = [upload(images.picture("mixed", seed)) for seed in range(10)]
    broken = [upload(images.broken(seed)) for seed in range(5)]
    slow = upload(images.large("dog", 1))
    rare = {9: slow, 13: Request("GET", "/no-such-page"), 33: Request("GET", "/health"), 53: Request("GET", "/")}

    def nth(n: int) -> Request:
        if n % 100 in rare:
            return rare[n % 100]
        if n % 20 == 7:
            return broken[n // 20 % len(broken)]
        if n % 10 == 4:
            return unsure[n // 10 % len(unsure)]
        return usual[n % len(usual)]

    return nth


@dataclass
class Tally:
    """What became of every request.

    Attributes:
        answered: by status.
        unanswered: sent, at least in part, but without an answer: the service may have counted them or not.
        refused: never sent, because no connection could be made.
    """

    answered: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    refused: int = 0


class Client:
    """Sends requests, each on a connection of its own so that all workers get some, and counts the answers."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self.tally = Tally()

    def send(self, request: Request) -> int | None:
        """The answer's status; None when there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        try:
            connection.connect()
        except OSError:
            with self._lock:
                self.tally.refused += 1
            return None
        try:
            headers = {"user-agent": "otel-sidecar-demo", "connection": "close"}
            if request.content_type:
                headers["content-type"] = request.content_type
            connection.request(request.method, request.path, request.body or None, headers)
            reply = connection.getresponse()
            reply.read()
        except (OSError, http.client.HTTPException):
            with self._lock:
                self.tally.unanswered += 1
            return None
        else:
            with self._lock:
                self.tally.answered[reply.status] += 1
            return reply.status
        finally:
            connection.close()

    def sent(self) -> int:
        """Requests answered so far."""
        with self._lock:
            return self.tally.answered.total()


class Traffic:
    """A few threads that send the script's requests at a steady rate until they are stopped."""

    def __init__(self, client: Client, script: Callable[[int], Request], rate: float, threads: int = 8) -> None:
        self._client, self._script, self._rate = client, script, rate
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next = 0
        self._due = 0.0
        self._threads: Sequence[threading.Thread] = [
            threading.Thread(target=self._run, name=f"traffic-{n}", daemon=True) for n in range(threads)
        ]

    def start(self) -> None:
        """Begins."""
        self._due = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Sends nothing more, and returns when what is under way has been answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                number, due = self._next, max(self._due, time.monotonic() - _BEHIND_S)
                self._next, self._due = number + 1, due + 1 / self._rate
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self._client.send(self._script(number))
