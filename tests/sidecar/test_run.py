"""`otel-sidecar run` as a real process: the service's signals and status, and a sidecar that can't hurt it."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.otlp_sink import http_sink
from tests.support.processes import LOOPBACK, Program, free_port, http, python, running, wait_for

pytestmark = pytest.mark.integration

# A service that says what it gets, until a signal it ends with.
SERVICE = """
import os, signal, sys, time
def got(number, _):
    print("got", signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM: sys.exit(5)
for name in ("TERM", "INT", "HUP", "USR1", "USR2", "TTIN", "TTOU"):
    signal.signal(getattr(signal, "SIG" + name), got)
print("serving as", os.getpid(), flush=True)
while True: time.sleep(0.05)
"""


@contextmanager
def run(
    *command: str, options: tuple[str, ...] = (), env: dict[str, str] | None = None
) -> Iterator[tuple[Program, str]]:
    """Runs the command beside a sidecar; yields the program and the metrics address."""
    metrics = f"{LOOPBACK}:{free_port()}"
    addresses = ("--metrics", metrics, "--http", f"{LOOPBACK}:{free_port()}", "--grpc", "off")
    line = python("-m", "sidecar", "run", *addresses, *options, "--", *command)
    with running(line, name="run", env=env) as program:
        yield program, metrics


def service() -> tuple[str, ...]:
    return (sys.executable, "-c", SERVICE)


def ended(program: Program, timeout_s: float = 20) -> int:
    return program.process.wait(timeout_s)


def sidecar_pid(program: Program) -> int:
    """The child of `run` that is a sidecar."""
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    for child in children:
        if b"serve" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError(f"no sidecar among {children}")


@pytest.mark.parametrize(
    ("code", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -TERM $$", 143)]
)
def test_the_status_of_the_service_is_the_status(code: str, status: int) -> None:
    with run("sh", "-c", code) as (program, _):
        assert ended(program) == status


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("/no/such/command", 127, "otel-sidecar run: command not found: /no/such/command"),
        ("/etc/passwd", 126, "otel-sidecar run: /etc/passwd can't be started: Permission denied"),
    ],
)
def test_a_command_that_cannot_be_started(command: str, status: int, message: str) -> None:
    with run(command) as (program, _):
        assert ended(program) == status
        wait_for(lambda: message in program.output, message)


def test_every_signal_reaches_the_service_once() -> None:
    passed = [signal.SIGUSR1, signal.SIGHUP, signal.SIGTTIN, signal.SIGINT, signal.SIGUSR2, signal.SIGTTOU]
    with run(*service()) as (program, _):
        wait_for(lambda: "serving as" in program.output, "the service")
        for number in passed:
            program.process.send_signal(number)
            wait_for(lambda number=number: f"got {number.name}" in program.output, number.name)  # type: ignore[misc] # default
        program.process.send_signal(signal.SIGTERM)
        assert ended(program) == 5
    assert re.findall(r"got (\w+)", program.output) == [number.name for number in [*passed, signal.SIGTERM]]


def test_ctrl_c_in_a_terminal_reaches_the_service_once() -> None:
    """The terminal signals everyone in the foreground itself; twice would make uvicorn skip its clean end."""
    pid, terminal = pty.fork()
    if pid == 0:
        addresses = ["--metrics", f"{LOOPBACK}:0", "--http", f"{LOOPBACK}:0", "--grpc", "off"]
        line = [sys.executable, "-m", "sidecar", "run", *addresses, "--", *service()]
        os.execv(sys.executable, line)  # noqa: S606 - the child of a pseudo-terminal, which subprocess can't make
    output = b""

    def seen(pattern: bytes) -> bool:
        nonlocal output
        output += os.read(terminal, 4096)
        return re.search(pattern, output) is not None

    try:
        wait_for(lambda: seen(rb"serving as"), "the service")
        os.write(terminal, b"\x03")
        wait_for(lambda: seen(rb"got SIGINT"), "the signal")
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: seen(rb"got SIGTERM"), "the end")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
        assert output.count(b"got SIGINT") == 1
    finally:
        os.close(terminal)


def test_a_signal_before_the_service_has_started_ends_all() -> None:
    with run(*service(), env={"OTEL_SIDECAR_LOG_LEVEL": "info"}) as (program, _):
        wait_for(lambda: Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text(), "the sidecar's start")
        program.process.send_signal(signal.SIGTERM)
        assert ended(program) in {5, 143}


def test_the_sidecar_outlives_the_service_to_send_on_its_last_words() -> None:
    code = (
        "import os, urllib.request as r; e = os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'];"
        'b = b\'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"last words"}]}]}]}\';'
        "r.urlopen(r.Request(e + '/v1/traces', b, {'content-type': 'application/json'})).read()"
    )
    with http_sink() as sink:
        options = ("--forward", f"http://{LOOPBACK}:{sink.port}")
        with run(sys.executable, "-S", "-c", code, options=options) as (program, _):
            assert ended(program) == 0, program.output
        assert [span.name for span in sink.items()] == ["last words"]
    assert "received 1 = forwarded 1" in program.output


def test_a_sidecar_that_dies_is_started_again_and_the_service_does_not_notice() -> None:
    with run(*service()) as (program, metrics):
        wait_for(lambda: "serving as" in program.output, "the service")
        first = sidecar_pid(program)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: "the sidecar ended with status -9; it is started again in 1 s" in program.output, "the word")
        program.wait_url(f"http://{metrics}/readyz")
        assert sidecar_pid(program) != first
        program.process.send_signal(signal.SIGTERM)
        assert ended(program) == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--contract", "/no/such/observability.yaml"), "--contract (or OTEL_SIDECAR_CONTRACT): "),
        (("--state", "/proc/state"), "--state (or OTEL_SIDECAR_STATE): "),
        (
            ("--forward", "http://127.0.0.1:1", "--forward-header", "a=@/no/file"),
            "--forward-header (or OTEL_SIDECAR_FORWARD_HEADER) a=@/no/file: ",
        ),
    ],
)
def test_settings_that_cannot_be_used_start_nothing(options: tuple[str, ...], said: str) -> None:
    """They are the user's to mend; a service without telemetry might go unnoticed for weeks."""
    with run("echo", "served", options=options) as (program, _):
        assert ended(program) == 2
        ending = "otel-sidecar run: the sidecar's settings can't be used; nothing is started\n"
        wait_for(lambda: program.output.endswith(ending), ending)
    assert f"otel-sidecar serve: {said}" in program.output
    assert "served" not in program.output
    assert program.output.count("\n") == 2


def test_an_address_that_was_asked_for_and_is_taken_starts_nothing() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        address = f"{LOOPBACK}:{taken.getsockname()[1]}"
        with run("echo", "served", options=("--grpc", address)) as (program, _):
            assert ended(program) == 2
            said = (
                f"otel-sidecar run: --grpc {address} (or OTEL_SIDECAR_GRPC): "
                "another process listens there; choose another address\n"
            )
            wait_for(lambda: program.output == said, said)


def test_a_sidecar_that_crashes_does_not_keep_the_service_from_starting(tmp_path: Path) -> None:
    """One sentence says what happened, what comes next, and that the service is there."""
    (tmp_path / "httptools.py").write_text("import os; os._exit(3)")
    with run(*service(), env={"PYTHONPATH": str(tmp_path)}) as (program, _):
        wait_for(lambda: "serving as" in program.output, "the service")
        assert program.output.startswith(
            "otel-sidecar run: the sidecar ended with status 3; it is started again in 1 s, "
            "the service goes on without it\nserving as"
        )
        program.process.send_signal(signal.SIGTERM)
        assert ended(program) == 5


@pytest.mark.xdist_group("usual ports")
def test_two_that_start_at_once_find_ports_of_their_own() -> None:
    """Both choose the usual ones; the late one looks for others."""
    command = ("sh", "-c", "echo at $OTEL_EXPORTER_OTLP_ENDPOINT; sleep 2")
    line = python("-m", "sidecar", "run", "--grpc", "off", "--", *command)
    with running(line, name="one") as one, running(line, name="two") as two:
        assert (ended(one), ended(two)) == (0, 0), one.output + two.output
        found = [re.search(r"^at (http://\S+)$", program.output, re.MULTILINE) for program in (one, two)]
    assert all(found)


def test_the_sidecar_ends_even_when_run_is_killed() -> None:
    with run(*service()) as (program, metrics):
        wait_for(lambda: "serving as" in program.output, "the service")
        pid = sidecar_pid(program)
        program.process.kill()
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the sidecar's end")
        assert http_is_gone(metrics)
        found = re.search(r"serving as (\d+)", program.output)
        assert found
        os.kill(int(found[1]), signal.SIGKILL)  # nobody passes signals to it any more


@pytest.mark.xdist_group("usual ports")
def test_a_taken_usual_port_moves_to_a_free_one() -> None:
    """Two services on one machine need no options; both variables tell where."""
    command = ("sh", "-c", "echo $OTEL_EXPORTER_OTLP_ENDPOINT $OTEL_SIDECAR_METRICS")
    line = python("-m", "sidecar", "run", "--grpc", "off", "--", *command)
    with closing(held(4318)), closing(held(9464)), running(line, name="two") as two:
        assert ended(two) == 0
    assert re.search(r"127\.0\.0\.1:4318 is taken; --http is 127\.0\.0\.1:\d+", two.output)
    assert re.search(r"^http://127\.0\.0\.1:(?!4318)\d+ 127\.0\.0\.1:(?!9464)\d+$", two.output, re.MULTILINE)


def held(port: int) -> socket.socket:
    """The port, taken by this test; one of another test that has it now ends soon."""
    return wait_for(lambda: socket.create_server((LOOPBACK, port)), f"port {port}", timeout_s=60)


def http_is_gone(metrics: str) -> bool:
    try:
        http(f"http://{metrics}/readyz")
    except OSError:
        return True
    return False
