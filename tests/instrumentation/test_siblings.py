"""One worker of several is recognised by what was asked for and by who is beside it."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from instrumentation import siblings as module
from instrumentation.siblings import declared_workers, several_processes, siblings
from tests.support.processes import wait_for


@pytest.mark.parametrize(
    ("command", "environ", "workers"),
    [
        ("uvicorn app:app", {}, None),
        ("/venv/bin/uvicorn app:app --workers 4", {}, 4),
        ("/lib/uvicorn/__main__.py app:app --workers=4", {}, 4),
        ("uvicorn app:app", {"WEB_CONCURRENCY": "4"}, 4),
        ("uvicorn app:app --workers 1", {"WEB_CONCURRENCY": "4"}, 1),
        ("uvicorn app:app", {"WEB_CONCURRENCY": ""}, None),
        ("uvicorn app:app", {"UVICORN_WORKERS": "3", "WEB_CONCURRENCY": "4"}, 3),
        # --reload wins over --workers.
        ("uvicorn app:app --workers 4 --reload", {}, None),
        ("fastapi run --workers 2 app.py", {}, 2),
        ("gunicorn app:app -w 16", {}, 16),
        ("gunicorn app:app -w16", {}, 16),
        ("gunicorn app:app --workers 1", {"GUNICORN_CMD_ARGS": "--workers 3"}, 1),
        ("gunicorn app:app", {"GUNICORN_CMD_ARGS": "--workers=3", "WEB_CONCURRENCY": "2"}, 3),
        ("hypercorn app:app --workers 2", {"WEB_CONCURRENCY": "9"}, 2),
        ("hypercorn app:app", {"WEB_CONCURRENCY": "9"}, None),
        ("granian app:app --workers 2", {}, 2),
        ("granian app:app", {"GRANIAN_WORKERS": "5"}, 5),
        # What another program's flags mean is not ours to guess.
        ("service.py -w 4 --workers 4", {}, None),
        ("service.py", {"WEB_CONCURRENCY": "4"}, 4),
        ("uvicorn app:app --workers", {}, None),
        ("", {}, None),
    ],
)
def test_the_number_of_workers_is_read_as_the_server_reads_it(
    command: str, environ: dict[str, str], workers: int | None
) -> None:
    """Flags before variables, each server with its own."""
    assert declared_workers(environ, command.split()) == workers


def test_a_process_that_no_server_started_is_alone() -> None:
    """This one, for example."""
    assert several_processes({}, ["uvicorn", "app:app"]) is False


@contextmanager
def children(number: int) -> Iterator[list[int]]:
    """Processes with this command line's twin, but for a number in it."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()  # {}"]
    started = [
        subprocess.Popen([part.format(index) for part in command], stdin=subprocess.PIPE) for index in range(number)
    ]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.communicate()


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no proc(5)")  # noqa: PTH110 - no more than that
def test_siblings_have_the_same_parent_and_command_line() -> None:
    """Numbers apart; whatever else the parent has started is none."""
    with children(3) as pids, subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        wait_for(lambda: set(siblings(pids[0]) or ()) == set(pids[1:]), "the siblings")
        assert siblings(other.pid) == []
        other.communicate(b"\n")
    assert siblings(pids[0]) is None


def _report(connection: multiprocessing.connection.Connection, command: list[str]) -> None:
    """In a spawned child: waits to be asked, and says what it thinks."""
    while connection.recv():
        connection.send(several_processes({}, command))


@pytest.mark.integration
def test_a_spawned_worker_sees_the_others() -> None:
    """One child of multiprocessing is alone although it is a child; with another beside it, it is one of several."""
    context = multiprocessing.get_context("spawn")
    pipes, workers = [], []
    try:
        for expected in (False, True):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_report, args=(theirs, ["hypercorn", "app:app"]))
            worker.start()
            pipes.append(ours)
            workers.append(worker)
            pipes[0].send(True)
            assert pipes[0].poll(30)
            assert pipes[0].recv() is expected
    finally:
        for pipe, worker in zip(pipes, workers, strict=True):
            pipe.send(False)
            worker.join(10)


def test_where_processes_cannot_be_looked_at_a_worker_counts_as_one_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless its command line says that it is alone: no answer is better than a wrong one."""
    monkeypatch.setattr(module, "siblings", lambda _: None)
    monkeypatch.setattr(module, "_is_worker", lambda _: True)
    assert several_processes({}, ["hypercorn", "app:app"]) is True
    assert several_processes({}, ["hypercorn", "app:app", "--workers", "1"]) is False
    assert several_processes({}, ["uvicorn", "app:app", "--reload"]) is False
