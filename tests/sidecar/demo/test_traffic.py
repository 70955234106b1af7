"""The traffic is what it says: steady, mixed, and every request counted by what became of it."""

from __future__ import annotations

import http.server
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from examples.catvsdog import images
from examples.catvsdog.decoding import ImageError, decode
from sidecar.demo.traffic import Client, Request, Traffic, script, upload
from tests.support.processes import free_port


class Service(http.server.ThreadingHTTPServer):
    """Answers by path and remembers what came."""

    daemon_threads = True

    def __init__(self) -> None:
        self.came: list[tuple[str, str, bytes]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.came.append((self.path, self.headers.get("content-type", ""), body))
        if self.path == "/hangup":
            return
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the standard library's name

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def planned() -> list[Request]:
    nth = script(images)
    return [nth(n) for n in range(400)]


def test_an_upload_is_a_form_with_the_files_bytes() -> None:
    """Field, name, type and the unchanged bytes."""
    request = upload(images.Upload("cat.jpg", "image/jpeg", b"\xff\xd8\r\n--x"))
    assert (request.method, request.path) == ("POST", "/predict")
    assert b'name="file"; filename="cat.jpg"\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\r\n--x\r\n--' in request.body
    assert request.content_type.startswith("multipart/form-data; boundary=")


def test_the_script_has_everything_in_it(planned: list[Request]) -> None:
    """Cats, dogs, broken uploads, a slow one, a lost one; most are pictures that can be read."""
    paths = Counter((request.method, request.path) for request in planned)
    assert paths["GET", "/no-such-page"] == paths["GET", "/health"] == 4
    broken = slow = 0
    for body, count in Counter(request.body for request in planned if request.path == "/predict").items():
        head, _, rest = body.partition(b"\r\n\r\n")
        slow += count * (b"large-" in head)
        try:
            decode(rest.rpartition(b"\r\n--")[0], "text/plain" if b"text/plain" in head else "image/jpeg")
        except ImageError:
            broken += count
    assert broken == 20
    assert slow == 4
    assert len({request.body for request in planned}) > 80


def test_a_short_run_has_the_interesting_ones_too(planned: list[Request]) -> None:
    """The first second's requests already hold a broken upload, a slow one and a 404."""
    first = planned[:25]
    assert any(b"large-" in request.body for request in first)
    assert any(b"notes.txt" in request.body or b"this is text" in request.body for request in first)
    assert any(request.path == "/no-such-page" for request in first)


def test_every_request_is_counted_by_what_became_of_it(service: Service) -> None:
    """An answer by its status, a hang-up apart, a connection that was never made apart from both."""
    client = Client(service.server_address[1])
    assert client.send(Request("GET", "/")) == 200
    assert client.send(Request("GET", "/none")) == 404
    assert client.send(Request("POST", "/hangup", b"x", "text/plain")) is None
    nobody = Client(free_port())
    assert nobody.send(Request("GET", "/")) is None
    assert (client.tally.answered, client.tally.unanswered, client.tally.refused) == (Counter({200: 1, 404: 1}), 1, 0)
    assert (nobody.sent(), nobody.tally.unanswered, nobody.tally.refused) == (0, 0, 1)


def test_the_rate_is_kept_and_stopping_waits_for_answers(service: Service) -> None:
    """About as many as asked for in the time, and what came is exactly what was counted."""
    client = Client(service.server_address[1])
    traffic = Traffic(client, lambda n: Request("GET", f"/{n}"), rate=100, threads=4)
    begun = time.monotonic()
    traffic.start()
    while client.sent() < 50:
        time.sleep(0.01)
    took = time.monotonic() - begun
    traffic.stop()
    assert took > 0.4
    assert client.sent() == len(service.came)
    assert sorted(path for path, _, _ in service.came) == sorted(f"/{n}" for n in range(len(service.came)))


def test_stopping_an_idle_traffic_is_quick(service: Service) -> None:
    """One request a minute does not make the end take a minute."""
    traffic = Traffic(Client(service.server_address[1]), lambda _: Request("GET", "/"), rate=1 / 60)
    traffic.start()
    begun = time.monotonic()
    traffic.stop()
    assert time.monotonic() - begun < 2
