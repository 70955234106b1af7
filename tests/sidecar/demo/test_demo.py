"""The demo as a user starts it: ends by itself with a check, and leaves no process behind however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Program, free_port, http, python, running, wait_for

pytestmark = pytest.mark.integration

TRAINING_S = 120  # on a fresh machine the first demo trains the model


def descendants(pid: int) -> set[int]:
    """All processes below one, by /proc."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def demo(*options: str) -> Iterator[tuple[Program, str]]:
    """A demo that runs until it is stopped, with traffic under way, and the address of its page."""
    with running(python("-m", "sidecar", "demo", "--rate", "15", *options), name="demo") as program:
        page = wait_for(lambda: re.findall(r"live page   (\S+)", program.output), "the live page", TRAINING_S)[0]
        wait_for(lambda: figures(page)["requests"]["total"] > 15, "traffic on the page")
        yield program, page


def figures(page: str) -> Any:
    return json.loads(http(f"{page}api/summary").text)["figures"]


def test_it_ends_by_itself_and_all_counts_agree() -> None:
    """Exit status 0, and the printed check: requests answered = on /metrics = server spans."""
    env = {"OTEL_TRACES_SAMPLER": "always_off", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with running(python("-m", "sidecar", "demo", "--for", "6s", "--rate", "20"), name="demo", env=env) as program:
        assert program.process.wait(TRAINING_S) == 0, program.output
    counts = re.findall(r"(?:requests answered|on /metrics|in the sidecar) +([\d,]+)", program.output)
    assert len(counts) == 3
    assert len(set(counts)) == 1
    assert int(counts[0]) > 60
    assert "OK: every request was counted once and traced once." in program.output
    assert re.search(r"by status: 200: \d+, 400: \d+, 404: \d+, 415: \d+", program.output)
    assert "live page   http://127.0.0.1:" in program.output


def test_the_page_shows_the_traffic_and_ctrl_c_ends_it_with_the_check() -> None:
    """The page has the service's requests, stages and traces; Ctrl-C leads to the check and leaves no process."""
    with demo() as (program, page):

        def seen() -> set[str]:
            return {row["label"] for model in figures(page)["models"] for row in model["classes"]}

        wait_for(lambda: seen() == {"cat", "dog"}, "cats and dogs on the page")
        html = http(page).text
        for words in ("catvsdog-api", "POST /predict", "preprocess", "inference", "2 workers"):
            assert words in html
        below = descendants(program.pid)
        assert len(below) >= 4
        assert program.stop(signal.SIGINT, timeout_s=60) == 0, program.output
        assert "OK: every request was counted once" in program.output
        assert not [pid for pid in below if alive(pid)]


def test_sigterm_ends_it_in_order_and_lost_spans_are_a_mismatch() -> None:
    """With --forward to an address where nobody listens the check says how many spans still wait, and fails."""
    target = f"http://127.0.0.1:{free_port()}"
    with demo("--forward", target) as (program, _):
        below = descendants(program.pid)
        assert program.stop(signal.SIGTERM, timeout_s=60) == 1, program.output
        assert re.search(rf"MISMATCH: \d+ spans still wait for {target}", program.output)
        assert not [pid for pid in below if alive(pid)]


def test_killing_it_leaves_no_process_behind() -> None:
    """Even SIGKILL, which it cannot see: its children notice that it is gone."""
    with demo() as (program, _):
        below = descendants(program.pid)
        os.kill(program.pid, signal.SIGKILL)
        wait_for(lambda: not [pid for pid in below if alive(pid)], "the children's end", 30)


def test_a_sidecar_that_dies_is_reported() -> None:
    """A process that ends under way is named with its status, exit status 1, and the rest is cleaned up."""
    with demo() as (program, _):
        below = descendants(program.pid)
        (sidecar,) = [pid for pid in below if b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(sidecar, signal.SIGKILL)
        assert program.process.wait(60) == 1
        wait_for(lambda: "the sidecar ended with status -9" in program.output, "the report")
        assert not [pid for pid in below if alive(pid)]
