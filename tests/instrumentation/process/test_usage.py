"""What the operating system says of this process is what it is."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from instrumentation.process import usage
from instrumentation.process.usage import PROC
from tests.support.own_meter import Metrics, collecting

linux = pytest.mark.skipif(not PROC.exists(), reason="no /proc")


def test_processor_time_grows_with_work() -> None:
    """User and system, in seconds."""
    before = sum(value for value, _ in usage.cpu_time())
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    # The kernel counts in hundredths of a second.
    assert 0.03 <= sum(value for value, _ in usage.cpu_time()) - before < 5


@linux
def test_memory_is_what_status_says() -> None:
    """Resident within virtual; /proc/self/status tells the same in kB."""
    status = dict(line.split(":", 1) for line in (PROC / "status").read_text().splitlines())
    resident, virtual = usage.resident_bytes(PROC), usage.virtual_bytes(PROC)
    assert resident == pytest.approx(int(status["VmRSS"].split()[0]) * 1024, rel=0.1)
    assert virtual == pytest.approx(int(status["VmSize"].split()[0]) * 1024, rel=0.1)


@linux
def test_threads_are_counted_by_the_kernel(tmp_path: Path) -> None:
    """One more when one more runs; a program's name with brackets and spaces does not move the field."""
    before = usage.threads(PROC)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    assert usage.threads(PROC) == before + 1
    stop.set()
    thread.join()
    (tmp_path / "stat").write_bytes(b"1 (my (odd) name) S " + b"0 " * 16 + b"7 " + b"0 " * 10)
    assert usage.threads(tmp_path) == 7


@linux
def test_open_files_are_counted_without_the_look_itself() -> None:
    """One more when one more is open."""
    before = usage.open_files(PROC / "fd")
    with Path(os.devnull).open():
        assert usage.open_files(PROC / "fd") == before + 1
    assert usage.open_files(PROC / "fd") == before


@linux
def test_all_of_it_is_exported() -> None:
    """Under the conventions' names and units."""
    metrics = Metrics(usage.observe_usage).read()
    assert set(metrics) == {
        "process.cpu.time",
        "process.memory.usage",
        "process.memory.virtual",
        "process.thread.count",
        "process.unix.file_descriptor.count",
        "process.context_switches",
    }
    assert {tuple(point.attributes.items()) for point in metrics["process.cpu.time"]} == {
        (("cpu.mode", "user"),),
        (("cpu.mode", "system"),),
    }
    assert all(point.value > 0 for name in ("process.memory.usage", "process.thread.count") for point in metrics[name])


def test_what_a_system_does_not_tell_is_left_out(tmp_path: Path) -> None:
    """Without /proc there is no memory and no thread count, and no zero in their place."""
    assert set(collecting(lambda meter: usage.observe_usage(meter, tmp_path))) <= {
        "process.cpu.time",
        "process.unix.file_descriptor.count",
        "process.context_switches",
    }
