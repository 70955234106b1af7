"""`otel-sidecar run` with the servers people use: every request counted once, one line a process, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.compat.environments import ROOT, SERVERS, made
from tests.compat.received import Received, received
from tests.support.load import Load
from tests.support.otlp_sink import http_sink
from tests.support.processes import LOOPBACK, Reply, free_port, http, python, running, wait_for

pytestmark = [pytest.mark.compat, pytest.mark.xdist_group("compat")]

UNTOUCHED = "tests.integration.apps.untouched:app"
LINE = "otel-sidecar: service=untouched"
REQUESTS = 100
NEVER_MS = "600000"


@dataclass(frozen=True, slots=True)
class Server:
    """One way to serve.

    Attributes:
        command: program and flags.
        workers: processes that serve.
    """

    command: str
    workers: int = 1

    def arguments(self, port: int) -> list[str | Path]:
        """The command line."""
        program, *flags = self.command.split()
        bind: list[str | Path] = ["--bind", f"{LOOPBACK}:{port}"]
        if program in ("uvicorn", "granian"):
            bind = ["--host", LOOPBACK, "--port", str(port)]
        return [made(SERVERS).bin / program, *flags, *bind, UNTOUCHED]


_UVICORN_WORKER = "gunicorn -k uvicorn_worker.UvicornWorker"
_SERVERS = (
    Server("uvicorn"),
    Server(f"uvicorn --reload --reload-dir {Path(__file__).parent / 'locks'}"),
    Server("uvicorn --workers 2", 2),
    Server("gunicorn -k asgi"),
    Server("gunicorn -k asgi -w 2", 2),
    Server("gunicorn -k asgi -w 2 --preload", 2),
    Server(f"{_UVICORN_WORKER} -w 1"),
    Server(f"{_UVICORN_WORKER} --config python:tests.compat.apps.two_workers", 2),
    Server(f"{_UVICORN_WORKER} -w 2 --preload", 2),
    Server("hypercorn"),
    Server("hypercorn --workers 2", 2),
    Server("granian --interface asgi"),
    Server("granian --interface asgi --workers 2", 2),
    # Without the lifespan nothing tells the application that it ends.
    Server("granian --interface asginl"),
)


@dataclass(frozen=True, slots=True)
class Observed:
    """One server's life: started, asked, scraped, stopped.

    Attributes:
        answered: requests that were answered with 200.
        scraped: the answer of /metrics on the service's own port.
        status: exit status of `otel-sidecar run`.
        output: of all its processes.
        arrived: what had been sent when all had ended.
    """

    answered: int
    scraped: Reply
    status: int
    output: str
    arrived: Received


@pytest.fixture(scope="module")
def lives() -> Iterator[dict[Server, Future[Observed]]]:
    """All servers, three at a time: they wait as much as they work."""
    with ThreadPoolExecutor(3) as pool:
        yield {server: pool.submit(live, server) for server in _SERVERS}


def live(server: Server) -> Observed:
    """Serves the untouched application; no interval ends while it does, so what arrives is what a stop sends.

    The service is told of another target than the sidecar that `run` starts, one that outlives it, and asks for that
    sidecar's metrics where nobody is: each server has to answer scrapes by itself, or say why it does not.
    """
    port = free_port()
    run_has = {"HTTP": f"{LOOPBACK}:{free_port()}", "GRPC": "off", "METRICS": f"{LOOPBACK}:{free_port()}"}
    nobody = f"OTEL_SIDECAR_METRICS={LOOPBACK}:{free_port()}"
    with http_sink() as sink:
        env = {
            **{f"OTEL_SIDECAR_{name}": value for name, value in run_has.items()},
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{sink.port}",
            "OTEL_METRIC_EXPORT_INTERVAL": NEVER_MS,
            "OTEL_BSP_SCHEDULE_DELAY": NEVER_MS,
            "PYTHONPATH": str(ROOT),
        }
        command = [*python("-m", "sidecar", "run", "--"), "env", nobody, *server.arguments(port)]
        with running(command, name=server.command, env=env) as program:
            program.wait_url(f"http://{LOOPBACK}:{port}/openapi.json", timeout_s=60)
            load = Load(LOOPBACK, port, "/items/7", requests_each=REQUESTS // 4).start()
            load.join()
            scraped = http(f"http://{LOOPBACK}:{port}/metrics")
            # Said when no sidecar was seen for two seconds.
            wait_for(lambda: program.output.count(LINE) >= server.workers, f"the start-up lines of {server.command}")
            status = program.stop()
        return Observed(len(load.answers), scraped, status, program.output, received(sink))


@pytest.mark.parametrize("server", _SERVERS, ids=lambda server: server.command.replace(str(ROOT), ""))
def test_every_request_is_counted_once_and_none_is_lost_at_the_end(
    server: Server, lives: dict[Server, Future[Observed]]
) -> None:
    """A service that knows nothing of telemetry, each process with one start-up line and one last export."""
    seen = lives[server].result()
    assert seen.answered == REQUESTS
    assert seen.status in (0, 128 + 15), seen.output
    counted = seen.arrived.counts("http.server.request.duration", "http.route")
    assert counted["/items/{item}"] == REQUESTS
    assert seen.arrived.server_spans == sum(counted.values())
    assert seen.arrived.values("http.server.active_requests") == 0
    assert len(seen.arrived.instances) == server.workers
    assert seen.output.count(LINE) == server.workers, seen.output
    assert "Traceback" not in seen.output


@pytest.mark.parametrize("server", _SERVERS, ids=lambda server: server.command.replace(str(ROOT), ""))
def test_without_a_sidecar_one_process_answers_scrapes_and_several_say_that_they_cannot(
    server: Server, lives: dict[Server, Future[Observed]]
) -> None:
    """However the number of workers was given, and whatever else the server started around one worker."""
    scraped = lives[server].result().scraped
    if server.workers > 1:
        assert scraped.status == 503
        assert "several worker processes" in scraped.text
        return
    assert scraped.status == 200, scraped.text
    samples = [
        sample
        for family in text_string_to_metric_families(scraped.text)
        for sample in family.samples
        if sample.name == "http_server_request_duration_seconds_count"
    ]
    assert [sample.value for sample in samples if sample.labels["http_route"] == "/items/{item}"] == [REQUESTS]
