"""Exact conversion between units of one dimension: a view in milliseconds has the boundaries its owner typed."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

#: UCUM abbreviation → (dimension, size in the dimension's base unit).
UNITS: Final = {
    "ns": ("time", Fraction(1, 10**9)),
    "us": ("time", Fraction(1, 10**6)),
    "ms": ("time", Fraction(1, 1000)),
    "s": ("time", Fraction(1)),
    "min": ("time", Fraction(60)),
    "h": ("time", Fraction(3600)),
    "d": ("time", Fraction(86400)),
    "By": ("size", Fraction(1)),
    "kBy": ("size", Fraction(10**3)),
    "MBy": ("size", Fraction(10**6)),
    "GBy": ("size", Fraction(10**9)),
    "KiBy": ("size", Fraction(2**10)),
    "MiBy": ("size", Fraction(2**20)),
    "GiBy": ("size", Fraction(2**30)),
    "1": ("ratio", Fraction(1)),
    "%": ("ratio", Fraction(1, 100)),
}


def factor(source: str, target: str) -> Fraction | None:
    """What to multiply a number of `source` by to get `target`; None when they measure different things."""
    if source == target:
        return Fraction(1)
    if source not in UNITS or target not in UNITS or UNITS[source][0] != UNITS[target][0]:
        return None
    return UNITS[source][1] / UNITS[target][1]


def scaled(number: float, by: Fraction) -> int | float:
    """The number times a factor, as decimal arithmetic on its shortest form: 0.07 s is 70 ms, not 70.00000000000001.

    Whole numbers that stay whole stay integers.
    """
    if isinstance(number, int):
        product = number * by
        return product.numerator if product.denominator == 1 else float(product)
    if not math.isfinite(number):
        return number
    return float(Fraction(repr(number)) * by)
