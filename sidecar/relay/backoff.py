"""How long to wait before the next try: growing, and by chance, so that a thousand sidecars do not strike at once."""

from __future__ import annotations

from collections.abc import Callable

_FIRST_S = 0.5
_MOST_S = 15.0
_MOST_ASKED_S = 60.0


class Backoff:
    """Exponential backoff with full jitter, for one batch."""

    def __init__(self, chance: Callable[[], float]) -> None:
        """`chance` gives numbers from 0 to 1."""
        self._chance = chance
        self._bound = _FIRST_S

    def pause(self, asked_s: float | None) -> float:
        """Seconds to wait; at least what the target asked for, up to a minute."""
        jittered = self._chance() * self._bound
        self._bound = min(self._bound * 2, _MOST_S)
        return max(jittered, min(asked_s or 0.0, _MOST_ASKED_S))
