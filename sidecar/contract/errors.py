"""What can be wrong with a contract, in one sentence that says where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ContractError(ValueError):
    """The contract cannot be used. The text is `FILE:LINE: key KEY: what is wrong`, and names the value it found."""


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean X?` for the closest of the words, else the list of them."""
    known = sorted(words)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""


def shown(value: object) -> str:
    """A value as it is quoted in an error: short."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
