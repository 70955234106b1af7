"""Reads from a thread's stack what keeps it: the stack itself for the log, and one function for a label."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Final

# The innermost calls tell what blocks; below them is the server, the same in every report.
_FRAMES: Final = 16
_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
# An event loop that waits for something to do, or is about to run a callback, has these innermost.
_IDLE: Final = ("selectors", "asyncio.", "uvloop")


@dataclass(frozen=True, slots=True)
class Culprit:
    """What a thread was doing.

    Attributes:
        function: fully qualified (`code.function.name`): the innermost one that is no library's, if there is one.
        stack: the innermost calls as a traceback has them.
    """

    function: str
    stack: str


def culprit(frame: FrameType) -> Culprit | None:
    """What the thread of this innermost frame is doing; None when that is an event loop's waiting."""
    if _module(frame).startswith(_IDLE):
        return None
    frames = list(_outwards(frame))
    own = next((one for one in frames if not one.f_code.co_filename.startswith((*_LIBRARIES, "<frozen"))), frame)
    stack = "".join(traceback.StackSummary.extract(_with_lines(frames[:_FRAMES][::-1])).format())
    return Culprit(f"{_module(own)}.{own.f_code.co_qualname}", stack)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _with_lines(frames: list[FrameType]) -> Iterator[tuple[FrameType, int]]:
    return ((frame, frame.f_lineno) for frame in frames)
