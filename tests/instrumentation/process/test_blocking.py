"""Of a stack, the function to blame is the innermost one of the service's own."""

from __future__ import annotations

import asyncio
import json
import selectors
import sys
import types
from collections.abc import Callable

from instrumentation.process.blocking import Culprit, culprit

found: list[Culprit | None] = []


def look() -> None:
    found.append(culprit(sys._getframe(1)))


class Looks:
    """Looks at its caller's stack when it is turned into a string."""

    def __repr__(self) -> str:
        found.append(culprit(sys._getframe(1)))
        return "looked"


def own() -> None:
    look()


def library() -> None:
    json.dumps({1: Looks()}, default=repr)


def test_the_innermost_own_function_is_named() -> None:
    """Fully qualified, with the calls that led to it in the stack."""
    own()
    one = found.pop()
    assert one is not None
    assert one.function == f"{__name__}.own"
    assert one.stack.rstrip().endswith("look()")
    assert "in test_the_innermost_own_function_is_named" in one.stack


def test_a_library_is_not_to_blame_for_its_caller() -> None:
    """Blocked in the standard library: the service's function that called it is named, the stack shows both."""
    library()
    one = found.pop()
    assert one is not None
    assert one.function.endswith(".library")
    assert "json" in one.stack


def called_from(module: str) -> Culprit | None:
    """The culprit when the innermost frame is a function of this module."""
    code = compile("def wait(look):\n    look()\n", f"{module}.py", "exec")
    space = types.ModuleType(module).__dict__
    exec(code, space)  # noqa: S102 - a frame of another module
    wait: Callable[[Callable[[], None]], None] = space["wait"]
    wait(look)
    return found.pop()


def test_a_waiting_loop_is_nobodys_fault() -> None:
    """A process that was starved or stopped looks like this when it comes back."""
    assert called_from(selectors.__name__) is None
    assert called_from(asyncio.base_events.__name__) is None
    assert called_from("app") is not None


def test_a_deep_stack_is_cut_at_its_outer_end() -> None:
    """The server's own calls are the same in every report."""

    def deep(levels: int) -> None:
        deep(levels - 1) if levels else look()

    deep(50)
    one = found.pop()
    assert one is not None
    assert one.stack.count("  File ") <= 16
