"""Tells objects that their process was forked, because a lock or a connection of the parent must not live on there."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def after_fork_in_child(method: Callable[[], None]) -> None:
    """Calls a bound method in each forked child, as long as its object lives (Python keeps such hooks for ever)."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        alive = reference()
        if alive is not None:
            alive()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)
