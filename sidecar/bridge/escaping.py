"""Names that older scrapers cannot read, written so that they can: the escaping schemes a scraper may ask for.

Source: Prometheus' "UTF-8 metric and label name escaping schemes", and client_golang where that leaves room: a name
that everybody can read is never touched, whatever the scheme.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_QUOTED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Escaping(StrEnum):
    """What the `escaping` parameter of an Accept header may say."""

    UTF8 = "allow-utf-8"
    UNDERSCORES = "underscores"
    DOTS = "dots"
    VALUES = "values"


#: As scrapers spell it; Prometheus 3.0 to 3.3 left one dash out.
SPELLINGS = {scheme.value: scheme for scheme in Escaping} | {"allow-utf8": Escaping.UTF8}


def escaped_metric(name: str, scheme: Escaping) -> str:
    """A metric's name, fit for `[a-zA-Z_:][a-zA-Z0-9_:]*` unless UTF-8 is allowed."""
    return name if scheme is Escaping.UTF8 or is_plain_metric(name) else _escaped(name, scheme)


def escaped_label(name: str, scheme: Escaping) -> str:
    """A label's name, fit for `[a-zA-Z_][a-zA-Z0-9_]*` unless UTF-8 is allowed."""
    if scheme is Escaping.UTF8 or is_plain_label(name):
        return name
    return _escaped(name, scheme).replace(":", "_")


@lru_cache(maxsize=8192)  # every sample of every scrape asks
def is_plain_metric(name: str) -> bool:
    """Whether text formats show this metric's name without quotes."""
    return _METRIC.fullmatch(name) is not None


@lru_cache(maxsize=8192)
def is_plain_label(name: str) -> bool:
    """Whether text formats show this label's name without quotes."""
    return _LABEL.fullmatch(name) is not None


def quoted(name: str) -> str:
    """A name in the quotes that Prometheus' UTF-8 syntax asks for."""
    return f'"{name.translate(_QUOTED)}"'


def _escaped(name: str, scheme: Escaping) -> str:
    if scheme is Escaping.UNDERSCORES:
        return "".join(one if _fits(one, place) else "_" for place, one in enumerate(name))
    if scheme is Escaping.DOTS:
        words = {"_": "__", ".": "_dot_"}
        return "".join(words.get(one) or (one if _fits(one, place) else "__") for place, one in enumerate(name))
    return "U__" + "".join(
        "__" if one == "_" else one if _fits(one, place) else f"_{ord(one):x}_" for place, one in enumerate(name)
    )


def _fits(character: str, place: int) -> bool:
    return character.isascii() and (character.isalpha() or character in "_:" or (place > 0 and character.isdigit()))
