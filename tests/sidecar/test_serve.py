"""`otel-sidecar serve` as a real process: start, hostile input, an outage of the target, and every way to stop."""

from __future__ import annotations

import gzip
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from tests.support.otlp_requests import metric_body, trace_body
from tests.support.otlp_sink import Answer, http_sink
from tests.support.processes import LOOPBACK, ROOT, Program, clean_env, free_port, http, python, running, wait_for

pytestmark = pytest.mark.integration

PROTOBUF = {"content-type": "application/x-protobuf"}


@dataclass
class Served:
    """A running sidecar."""

    program: Program
    http: str
    grpc: str
    metrics: str

    def ledger(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(http(f"http://{self.metrics}/ledger").body)
        assert document["balanced"], document
        return document

    def account(self, signal_: str = "traces") -> dict[str, Any]:
        accounts = self.ledger()["accounts"]
        found: dict[str, Any] = next(account for account in accounts if account["signal"] == signal_)
        return found

    def post(self, body: bytes, path: str = "/v1/traces", **headers: str) -> int:
        return http(f"http://{self.http}{path}", body=body, headers={**PROTOBUF, **headers}).status

    def memory_mb(self, line: str = "VmRSS") -> float:
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        found = re.search(rf"{line}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024


@contextmanager
def serving(*options: str, grpc: bool = True) -> Iterator[Served]:
    """A sidecar with free ports for the length of a block."""
    receiver, rpc, metrics = (f"{LOOPBACK}:{free_port()}" for _ in range(3))
    addresses = ["--http", receiver, "--metrics", metrics, "--grpc", rpc if grpc else "off"]
    with running(python("-m", "sidecar", "serve", *addresses, *options), name="sidecar") as program:
        program.wait_url(f"http://{metrics}/readyz")
        yield Served(program, receiver, rpc, metrics)


def send_spans(exporter: SpanExporter, count: int) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=64))
    tracer = provider.get_tracer("test")
    for number in range(count):
        tracer.start_span(f"span-{number}").end()
    provider.shutdown()


def test_it_says_where_it_listens_and_ends_with_status_0() -> None:
    with serving() as served:
        assert f"OTLP/gRPC on {served.grpc}" in served.program.output
        assert f"OTLP/HTTP on http://{served.http}" in served.program.output
        assert f"metrics and page on http://{served.metrics}" in served.program.output
        assert http(f"http://{served.metrics}/").status == 200
        assert served.program.stop() == 0
    assert "Traceback" not in served.program.output


def test_port_0_is_told_as_a_real_one() -> None:
    options = ["--http", f"{LOOPBACK}:0", "--grpc", "off", "--metrics", f"{LOOPBACK}:0"]
    with running(python("-m", "sidecar", "serve", *options), name="sidecar") as program:
        found = wait_for(lambda: re.search(r"page on (http://127\.0\.0\.1:\d+)", program.output), "its address")
        assert found is not None
        health = json.loads(http(f"{found[1]}/healthz").body)
        assert health["metrics"] == found[1].removeprefix("http://")
        assert health["http"] in program.output


@pytest.mark.parametrize("option", ["grpc", "http", "metrics"])
def test_a_port_in_use_is_told_before_anything_serves(option: str) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        addresses = dict.fromkeys(("grpc", "http", "metrics"), f"{LOOPBACK}:0")
        addresses[option] = f"{LOOPBACK}:{taken.getsockname()[1]}"
        options = [part for name, address in addresses.items() for part in (f"--{name}", address)]
        done = _serve(*options)
    assert done.returncode == 2
    assert done.stderr == (
        f"otel-sidecar serve: --{option} {addresses[option]} (or OTEL_SIDECAR_{option.upper()}): "
        "another process listens there; choose another address\n"
    )


def test_a_second_sidecar_does_not_share_the_first_one_s_grpc_port() -> None:
    """Grpcio would let it, and each would get some of the data."""
    with serving() as served:
        done = _serve("--grpc", served.grpc, "--http", "off", "--metrics", f"{LOOPBACK}:0")
        assert (done.returncode, done.stderr.count("another process listens there")) == (2, 1)


def test_a_contract_that_cannot_be_used_is_status_2(tmp_path: Path) -> None:
    contract = tmp_path / "observability.yaml"
    done = _serve("--contract", str(contract), "--grpc", "off", "--http", f"{LOOPBACK}:0")
    assert (done.returncode, str(contract) in done.stderr, "Traceback" in done.stderr) == (2, True, False)
    contract.write_text("service: {name: shop}\nslo: []\n")
    done = _serve("--contract", str(contract), "--grpc", "off", "--http", f"{LOOPBACK}:0")
    assert (done.returncode, f"{contract}:2" in done.stderr) == (2, True), done.stderr


def test_a_state_folder_that_cannot_be_used_is_status_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = _serve("--state", str(tmp_path / "file" / "state"), "--grpc", "off", "--http", f"{LOOPBACK}:0")
    assert done.returncode == 2
    assert done.stderr == (
        f"otel-sidecar serve: --state (or OTEL_SIDECAR_STATE): state directory {tmp_path}/file/state: Not a directory\n"
    )


def test_one_port_for_two_servers_is_one_sentence() -> None:
    """However it is written: grpcio would log lines of its own."""
    port = free_port()
    done = _serve("--grpc", f"{LOOPBACK}:{port}", "--http", f"{LOOPBACK}:{port}")
    assert (done.returncode, done.stderr) == (
        2,
        f"otel-sidecar serve: --grpc and --http both name {LOOPBACK}:{port}; each needs its own port\n",
    )
    done = _serve("--grpc", f"127.1:{port}", "--http", f"{LOOPBACK}:{port}")
    assert done.returncode == 2
    assert done.stderr == (
        f"otel-sidecar serve: --http {LOOPBACK}:{port} (or OTEL_SIDECAR_HTTP): "
        "another process listens there; choose another address\n"
    )


def test_idle_memory_and_what_is_not_loaded() -> None:
    """GRPC is not loaded where nobody speaks it."""
    with serving(grpc=False) as small, serving() as full:
        assert "cygrpc" not in Path(f"/proc/{small.program.pid}/maps").read_text()
        assert "cygrpc" in Path(f"/proc/{full.program.pid}/maps").read_text()
        assert small.memory_mb() < full.memory_mb() < 70


def test_hostile_bodies_leave_it_up_and_the_rest_of_the_data_kept() -> None:
    with serving("--recent-bytes", "1MB") as served:
        large = bytes(100_000_000)
        bomb = gzip.compress(bytes(300 << 20), 1)
        assert served.post(trace_body(7)) == 200
        assert served.post(large) == 413
        assert served.post(bomb, **{"content-encoding": "gzip"}) == 413
        assert served.post(bomb[:-9], **{"content-encoding": "gzip"}) == 413
        assert served.post(b"\x0a\xff\xff\xff", "/v1/logs") == 400
        assert served.post(b"{", **{"content-type": "application/json"}) == 400
        assert served.post(b"", **{"content-type": "text/csv"}) == 415
        assert served.post(metric_body(3), "/v1/metrics") == 200
        assert served.account()["forwarded"] == 7
        assert served.account("metrics")["received"] == 3
        refused = {(row["signal"], row["reason"]): row["requests"] for row in served.ledger()["refused"]}
        assert refused == {
            ("traces", "too_large"): 3,
            ("traces", "malformed"): 1,
            ("traces", "unsupported"): 1,
            ("logs", "malformed"): 1,
        }
        # A body of the largest size, its chunks and their joined copy: far from what the bomb held.
        assert served.memory_mb("VmHWM") < 300
    assert "Traceback" not in served.program.output


@pytest.mark.parametrize("front", ["http", "grpc"])
def test_an_outage_of_the_target_loses_nothing(front: str) -> None:
    """Stock exporters send while the target is away; all spans are there once it is back, and the books say so."""
    port = free_port()
    with serving("--forward", f"http://{LOOPBACK}:{port}") as served:
        exporter: SpanExporter = (
            HttpExporter(endpoint=f"http://{served.http}/v1/traces")
            if front == "http"
            else GrpcExporter(endpoint=served.grpc, insecure=True)
        )
        send_spans(exporter, 1000)
        wait_for(lambda: "takes no data" in served.program.output, "a try that failed")
        assert served.account()["queued"] == 1000
        with http_sink(port) as sink:
            wait_for(lambda: served.account()["forwarded"] == 1000, "all spans forwarded", 40)
            assert {span.name for span in sink.items()} == {f"span-{number}" for number in range(1000)}
            assert len(sink.items()) == 1000
    assert "answers again" in served.program.output


def test_a_full_queue_pushes_back_and_the_stock_exporter_loses_nothing() -> None:
    """16 KiB of queue: the exporter is told to wait, and waits."""
    with http_sink() as sink:
        sink.decide = lambda *_: Answer(503) if len(sink.tries) < 3 else None
        with serving("--forward", f"http://{LOOPBACK}:{sink.port}", "--queue-bytes", "16KiB") as served:
            send_spans(HttpExporter(endpoint=f"http://{served.http}/v1/traces"), 600)
            wait_for(lambda: len(sink.items()) == 600, "all spans")
            assert served.account()["received"] == 600
            assert any(row["reason"] == "queue_full" for row in served.ledger()["refused"])


def test_sigterm_sends_what_waits_and_tells_the_final_books() -> None:
    with http_sink() as sink:
        sink.decide = lambda *_: Answer(503) if len(sink.tries) < 3 else None
        with serving("--forward", f"http://{LOOPBACK}:{sink.port}") as served:
            assert served.post(trace_body(5)) == 200
            wait_for(lambda: sink.tries, "a try")
            assert served.program.stop() == 0
        assert len(sink.items()) == 5
    assert "ledger: traces to " in served.program.output
    assert "received 5 = forwarded 5 + queued 0 + dropped (0)" in served.program.output


def test_what_cannot_be_sent_in_time_is_told_as_dropped() -> None:
    with serving("--forward", f"http://{LOOPBACK}:{free_port()}", "--drain-timeout", "300ms") as served:
        assert served.post(trace_body(5)) == 200
        assert served.program.stop() == 0
    assert "received 5 = forwarded 0 + queued 0 + dropped (shutdown 5)" in served.program.output


def test_while_draining_it_is_not_ready_and_a_second_signal_ends_it_at_once() -> None:
    options = ("--forward", f"http://{LOOPBACK}:{free_port()}", "--drain-timeout", "1m")
    with serving(*options) as served:
        assert served.post(trace_body()) == 200
        served.program.process.send_signal(signal.SIGTERM)
        wait_for(lambda: http(f"http://{served.metrics}/readyz").status == 503, "not ready")
        assert served.account()["queued"] == 1
        assert served.program.stop(signal.SIGINT, timeout_s=3) == 128 + signal.SIGINT
    assert "SIGINT again: ending at once" in served.program.output


def test_it_ends_with_its_standard_input_when_told_so() -> None:
    options = ["--http", f"{LOOPBACK}:0", "--grpc", "off", "--metrics", f"{LOOPBACK}:0", "--until-stdin-closes"]
    command = python("-m", "sidecar", "serve", *options)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=clean_env()) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        assert any(b"page on" in line for line in process.stderr)
        process.stdin.close()
        assert process.wait(10) == 0


def _serve(*options: str) -> subprocess.CompletedProcess[str]:
    command = python("-m", "sidecar", "serve", *options)
    return subprocess.run(command, cwd=ROOT, env=clean_env(), capture_output=True, text=True, timeout=30, check=False)
