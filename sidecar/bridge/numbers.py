"""Numbers as Prometheus writes them: exact, and bucket bounds in the one form that all its versions agree on."""

from __future__ import annotations

import math
from decimal import Decimal


def number(value: float) -> str:
    """A sample's value: integers as they are, floats by their shortest exact form."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def bound(value: float) -> str:
    """A bucket's upper bound as the value of `le`.

    Prometheus 3 rewrites `le` on every scrape to Go's shortest form with at least one decimal (`1.0`, `1e+06`), and
    OpenMetrics asks for the same; written so from the start, a series has the same labels in every format and version.
    """
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, _ = (exact := Decimal(repr(value)).normalize()).as_tuple()
    exponent = exact.adjusted()
    if value == 0 or -4 <= exponent < 6:  # where Go's 'g' format and Python's repr agree
        return repr(value)
    first, rest = str(digits[0]), "".join(map(str, digits[1:]))
    return f"{'-' * sign}{first}{'.' * bool(rest)}{rest}e{exponent:+03d}"


def seconds(nanoseconds: int) -> str:
    """A time in seconds since the epoch, exact."""
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".") if rest else str(whole)
