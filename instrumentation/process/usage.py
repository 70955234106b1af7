"""What the operating system says of this process, from /proc and the standard library alone.

What a system without /proc does not tell about the present (macOS: memory, threads) is left out rather than guessed:
`ru_maxrss` is the highest ever, and Python does not know the threads of native libraries.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from opentelemetry.metrics import Meter

from instrumentation import semconv
from instrumentation.process.observe import NO_ATTRIBUTES, Reading, observe

PROC: Final = Path("/proc/self")
# macOS and the BSDs have the open files of the asking process there.
_DEV_FD: Final = Path("/dev/fd")


def observe_usage(meter: Meter, proc: Path = PROC) -> None:
    """Registers the `process.*` metrics that this system can answer.

    Args:
        meter: where to.
        proc: the process's folder of /proc.
    """
    observe(meter, semconv.PROCESS_CPU_TIME, cpu_time)
    if (proc / "statm").exists():
        observe(meter, semconv.PROCESS_MEMORY_USAGE, lambda: [(resident_bytes(proc), NO_ATTRIBUTES)])
        observe(meter, semconv.PROCESS_MEMORY_VIRTUAL, lambda: [(virtual_bytes(proc), NO_ATTRIBUTES)])
        observe(meter, semconv.PROCESS_THREAD_COUNT, lambda: [(threads(proc), NO_ATTRIBUTES)])
    files = next((folder for folder in (proc / "fd", _DEV_FD) if folder.is_dir()), None)
    if files is not None:
        found = files
        observe(meter, semconv.PROCESS_UNIX_FILE_DESCRIPTOR_COUNT, lambda: [(open_files(found), NO_ATTRIBUTES)])
    if os.name == "posix":
        observe(meter, semconv.PROCESS_CONTEXT_SWITCHES, context_switches)


def cpu_time() -> Iterator[Reading]:
    """Seconds of processor time, without those of child processes."""
    times = os.times()
    yield times.user, {semconv.CPU_MODE: semconv.CPU_MODE_USER}
    yield times.system, {semconv.CPU_MODE: semconv.CPU_MODE_SYSTEM}


def resident_bytes(proc: Path) -> int:
    """Physical memory."""
    return _statm(proc)[1]


def virtual_bytes(proc: Path) -> int:
    """Committed address space."""
    return _statm(proc)[0]


def _statm(proc: Path) -> list[int]:
    """proc(5): size and resident set in pages."""
    pages = (proc / "statm").read_bytes().split()[:2]
    return [int(page) * os.sysconf("SC_PAGE_SIZE") for page in pages]


def threads(proc: Path) -> int:
    """All threads, those of native libraries included."""
    # proc(5): the second field is the program's name in brackets, which may hold anything; num_threads is the 20th.
    return int((proc / "stat").read_bytes().rpartition(b")")[2].split()[17])


def open_files(folder: Path) -> int:
    """File descriptors, without the one that looking takes."""
    return sum(1 for _ in folder.iterdir()) - 1


def context_switches() -> Iterator[Reading]:
    """How often the process gave up the processor, and how often it was taken away."""
    import resource

    usage = resource.getrusage(resource.RUSAGE_SELF)
    kind = semconv.PROCESS_CONTEXT_SWITCH_TYPE
    yield usage.ru_nvcsw, {kind: semconv.PROCESS_CONTEXT_SWITCH_TYPE_VOLUNTARY}
    yield usage.ru_nivcsw, {kind: semconv.PROCESS_CONTEXT_SWITCH_TYPE_INVOLUNTARY}
