"""Numbers as a tired person reads them: short, with their unit, and a dash where there is none."""

from __future__ import annotations

from datetime import UTC, datetime

NOTHING = "\N{EN DASH}"
_SIZES = ("B", "KiB", "MiB", "GiB")


def duration(seconds: float | None) -> str:
    """`850 µs`, `12.3 ms`, `1.24 s`, `3 min 5 s`, `2 h 13 min`."""
    if not seconds:
        return NOTHING if seconds is None else "0 s"
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{_three(seconds * 1e3)} ms"
    if seconds < 60:
        return f"{_three(seconds)} s"
    return _long(round(seconds))


def _long(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"


def nanoseconds(value: int) -> str:
    """A duration given in nanoseconds."""
    return duration(value / 1e9)


def count(value: int) -> str:
    """`12,345`."""
    return f"{value:,}"


def rate(per_second: float) -> str:
    """`12.3/s`; below one in ten seconds by the minute."""
    if 0 < per_second < 0.1:
        return f"{_three(per_second * 60)}/min"
    return f"{_three(per_second)}/s"


def percent(share: float | None) -> str:
    """`0 %`, `0.42 %`, `12.5 %`."""
    if share is None:
        return NOTHING
    if 0 < share < 0.0001:
        return "< 0.01 %"
    return f"{_three(share * 100)} %"


def size(value: int) -> str:
    """`12.3 MiB`."""
    amount, unit = float(value), 0
    while amount >= 1024 and unit < len(_SIZES) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{_three(amount)} {_SIZES[unit]}"


def clock(at_ns: int) -> str:
    """`14:02:11 UTC`."""
    return _time(at_ns).strftime("%H:%M:%S UTC")


def timestamp(at_ns: int) -> str:
    """`2026-11-21 14:02:11.123 UTC`."""
    moment = _time(at_ns)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} UTC"


def ago(at_ns: int, now_ns: int) -> str:
    """`3 s ago`."""
    seconds = max(0, now_ns - at_ns) // 1_000_000_000
    return "now" if seconds < 1 else f"{duration(seconds)} ago"


def _three(value: float) -> str:
    """About three digits."""
    magnitude = abs(value)
    digits = 0 if magnitude >= 99.95 or magnitude == 0 else 1 if magnitude >= 9.995 else 2
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def _time(at_ns: int) -> datetime:
    """Any clock value a sender may have; one that is no date becomes the epoch."""
    try:
        return datetime.fromtimestamp(at_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)
