"""Counts what goes wrong and names each thing once in the log: a scrape every 15 s must not fill it."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sidecar.bridge.points import Problem

logger = logging.getLogger("sidecar.bridge")

#: Distinct things named in the log; a leak of metric names must not grow memory or log.
MAX_NAMED = 1_000
MAX_CHARACTERS = 500


class Notices:
    """What has been said already.

    Attributes:
        current: (reason, metric) of the last exposition's problems: what is left out of /metrics right now.
    """

    def __init__(self) -> None:
        self._named: set[tuple[str, str]] = set()
        self.current: tuple[tuple[str, str], ...] = ()

    def showing(self, problems: Iterable[Problem]) -> None:
        """Notes the problems of one exposition."""
        found = tuple(problems)
        self.current = tuple(sorted({(problem.reason, problem.metric) for problem in found}))
        for problem in found:
            self.once(problem.reason, problem.metric, problem.detail)

    def once(self, reason: str, subject: str, detail: str) -> None:
        """Logs a warning the first time this reason meets this subject."""
        subject = _line(subject)
        if (reason, subject) in self._named or len(self._named) >= MAX_NAMED:
            return
        self._named.add((reason, subject))
        logger.warning("%s: %s: %s", reason, subject or "(no name)", _line(detail))


def _line(text: str) -> str:
    """What a sender wrote, on one line of bearable length."""
    short = text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
    return short if short.isprintable() else repr(short)[1:-1]
