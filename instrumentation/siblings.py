"""Knows whether this process is one worker of several, since one worker's numbers are not the service's.

No server tells its workers how many they are. Its command line may say it, and the processes beside this one show it;
a number in a configuration file, or a worker added by a signal, only the latter.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

# How each server's number of workers is given: its flags, and the variables that stand for them.
_SERVERS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "uvicorn": (("--workers",), ("UVICORN_WORKERS", "WEB_CONCURRENCY")),
    "fastapi": (("--workers",), ("WEB_CONCURRENCY",)),
    "gunicorn": (("--workers", "-w"), ("WEB_CONCURRENCY",)),
    "hypercorn": (("--workers", "-w"), ()),
    "granian": (("--workers",), ("GRANIAN_WORKERS",)),
}
# A service that starts a server from its own code: uvicorn's variable is the one that still counts there.
_OWN_CODE: Final = ((), ("WEB_CONCURRENCY",))
_PROC: Final = Path("/proc")


def several_processes(environ: Mapping[str, str], argv: Sequence[str]) -> bool:
    """Whether this process is one worker of several, as far as it can know.

    Args:
        environ: of this process.
        argv: its command line; a spawned child has its parent's.
    """
    declared = declared_workers(environ, argv)
    if declared is not None and declared > 1:
        return True
    if not _is_worker(environ):
        return False
    seen = siblings(os.getpid())
    # Where processes cannot be looked at, several is the answer that is never wrong numbers.
    return len(seen) > 0 if seen is not None else declared is None and "--reload" not in argv


def declared_workers(environ: Mapping[str, str], argv: Sequence[str]) -> int | None:
    """The number of workers that the command line, else the environment, asks for; None when neither says one."""
    server = _server(argv)
    if server in ("uvicorn", "fastapi") and "--reload" in argv:
        return None
    flags, variables = _SERVERS.get(server, _OWN_CODE)
    given = [_number(text) for text in _values(argv, flags)]
    if server == "gunicorn":
        # Gunicorn lets its command line win over this variable, and this variable over WEB_CONCURRENCY.
        given = [_number(text) for text in _values(shlex.split(environ.get("GUNICORN_CMD_ARGS", "")), flags)] + given
    given = [_number(environ.get(name, "")) for name in reversed(variables)] + given
    return next((number for number in reversed(given) if number is not None), None)


def _server(argv: Sequence[str]) -> str:
    program = Path(argv[0]) if argv else Path()
    # `python -m uvicorn`: the program is the package's __main__.py.
    return program.parent.name if program.name == "__main__.py" else program.name.removesuffix(".exe")


def _values(argv: Sequence[str], flags: Sequence[str]) -> Iterator[str]:
    for position, argument in enumerate(argv):
        for flag in flags:
            if argument == flag:
                yield argv[position + 1] if position + 1 < len(argv) else ""
            elif argument.startswith(f"{flag}="):
                yield argument.removeprefix(f"{flag}=")
            elif len(flag) == 2 and argument.startswith(flag):
                yield argument.removeprefix(flag)


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _is_worker(environ: Mapping[str, str]) -> bool:
    """Whether a server started this process to be one of its workers."""
    if "gunicorn" in sys.modules and environ.get("SERVER_SOFTWARE", "").startswith("gunicorn"):
        return True
    return multiprocessing.parent_process() is not None


def siblings(pid: int) -> list[int] | None:
    """The processes that have the same parent and command line as this one; None where that cannot be looked at.

    Numbers in command lines are not compared: multiprocessing puts descriptors there. Its resource tracker has another
    command line, and so has whatever else the parent started.
    """
    try:
        parent, command = _parent(pid), _command(pid)
    except (OSError, ValueError, IndexError):
        return None
    found = []
    for folder in _PROC.glob("[0-9]*"):
        other = int(folder.name)
        try:
            if other != pid and _parent(other) == parent and _command(other) == command:
                found.append(other)
        except (OSError, ValueError, IndexError):
            # It has ended, or is another user's.
            continue
    return found


def _parent(pid: int) -> int:
    # The name, in brackets, may hold anything; the state and the parent follow it (proc(5)).
    state, parent = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
    if state in ("Z", "X"):
        raise ValueError(f"process {pid} has ended")
    return int(parent)


def _command(pid: int) -> bytes:
    return re.sub(rb"\d+", b"", (_PROC / str(pid) / "cmdline").read_bytes())
