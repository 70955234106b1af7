"""Children end with the demo, whatever they do, and what they said last can be shown."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from sidecar.demo.children import Child, ChildError
from tests.support.processes import wait_for

pytestmark = pytest.mark.integration


def child(script: str) -> Child:
    return Child("the child", [sys.executable, "-u", "-c", script], os.environ)


def gone(pid: int) -> bool:
    """Ended, if not yet reaped by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_child_that_ended_is_reported_with_its_last_words() -> None:
    """Status and output are in the error, so nobody has to look for a log."""
    with child("print('x' * 10); raise SystemExit('no port left')") as program:
        wait_for(lambda: program.status() is not None, "the end")
        with pytest.raises(ChildError, match=r"the child ended with status 1:\n    xxxxxxxxxx\n    no port left"):
            program.need()


def test_stop_is_a_request_first() -> None:
    """SIGTERM lets it finish; one that does not listen is reported, and killed at the end."""
    with child("import signal\nprint('up')\nsignal.pause()") as polite:
        wait_for(lambda: "up" in polite.last_lines(), "the child")
        assert polite.stop(5)
        assert polite.status() == -signal.SIGTERM
        assert polite.stop(5)
    with child("import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up')\ntime.sleep(60)") as deaf:
        wait_for(lambda: "up" in deaf.last_lines(), "the child")
        assert not deaf.stop(0.2)
    assert deaf.status() == -signal.SIGKILL


def test_grandchildren_end_too() -> None:
    """Workers whose parent died are not left behind."""
    script = (
        "import subprocess, sys\n"
        "worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(worker.pid)\n"
    )
    with child(script) as program:
        wait_for(lambda: program.status() is not None, "the parent's end")
        worker = int(program.last_lines())
        assert not gone(worker)
    wait_for(lambda: gone(worker), "the worker's end")


def test_a_child_sees_the_end_of_its_standard_input() -> None:
    """That is how it learns that the demo was killed without a word."""
    with child("import sys\nprint('up')\nsys.stdin.read()\nprint('alone')") as program:
        wait_for(lambda: "up" in program.last_lines(), "the child")
        assert program._process.stdin is not None
        program._process.stdin.close()
        wait_for(lambda: program.status() is not None, "the end")
        assert "alone" in program.last_lines()
