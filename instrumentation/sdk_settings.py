"""The variables that the SDK reads itself and answers with an exception: read here first, so that none stops a service.

One is out of reach: a wrong `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT` makes the SDK's import fail, with its name in the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

EXEMPLAR_FILTER: Final = "OTEL_METRICS_EXEMPLAR_FILTER"
_EXEMPLAR_FILTERS: Final = ("always_on", "always_off", "trace_based")
_QUEUE, _BATCH, _DELAY = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_SCHEDULE_DELAY"
# The specification's defaults: configuration/sdk-environment-variables.md, batch span processor and limits.
_DEFAULT_QUEUE, _DEFAULT_BATCH, _DEFAULT_DELAY_MS = 2048, 512, 5000
_DEFAULT_COUNT: Final = 128
_LIMITS: Final[Mapping[str, str]] = {
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "max_attributes",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "max_attribute_length",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "max_event_attributes",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "max_link_attributes",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "max_span_attributes",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "max_span_attribute_length",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "max_events",
    "OTEL_SPAN_LINK_COUNT_LIMIT": "max_links",
}


@dataclass(frozen=True, slots=True)
class SdkSettings:
    """What the SDK is told instead of being left to read it.

    Attributes:
        queue_size, batch_size: spans that may wait, and that leave together.
        delay_ms: milliseconds between exports of spans.
        replaced_limits: arguments of `SpanLimits` for the variables that cannot be read; None: no limit.
        own_exemplars: no (valid) `OTEL_METRICS_EXEMPLAR_FILTER` is there, so exemplars follow the kept traces.
        problems: one sentence for each variable that cannot be read.
    """

    queue_size: int = _DEFAULT_QUEUE
    batch_size: int = _DEFAULT_BATCH
    delay_ms: int = _DEFAULT_DELAY_MS
    replaced_limits: Mapping[str, int | None] = field(default_factory=dict)
    own_exemplars: bool = True
    problems: tuple[str, ...] = ()


def read_sdk_settings(environ: Mapping[str, str]) -> SdkSettings:
    """Reads them; raises nothing: see `problems`."""
    problems: list[str] = []
    queue = _whole(environ, _QUEUE, _DEFAULT_QUEUE, 1, problems)
    batch = _whole(environ, _BATCH, min(_DEFAULT_BATCH, queue), 1, problems)
    if batch > queue:
        problems.append(f"{_BATCH}={environ.get(_BATCH)!r}: more than {_QUEUE} ({queue}); using {queue}")
    limits: dict[str, int | None] = {}
    for name, argument in _LIMITS.items():
        default = None if argument.endswith("length") else _DEFAULT_COUNT
        if problem := _problem(environ, name, 0, str(default or "no limit")):
            problems.append(problem)
            limits[argument] = default
    chosen = environ.get(EXEMPLAR_FILTER, "").strip()
    if chosen and chosen not in _EXEMPLAR_FILTERS:
        problems.append(f"{EXEMPLAR_FILTER}={chosen!r}: none of {', '.join(_EXEMPLAR_FILTERS)}; ignored")
    return SdkSettings(
        queue_size=queue,
        batch_size=min(batch, queue),
        delay_ms=_whole(environ, _DELAY, _DEFAULT_DELAY_MS, 1, problems),
        replaced_limits=limits,
        own_exemplars=chosen not in _EXEMPLAR_FILTERS,
        problems=tuple(problems),
    )


def _whole(environ: Mapping[str, str], name: str, default: int, least: int, problems: list[str]) -> int:
    if problem := _problem(environ, name, least, str(default)):
        problems.append(problem)
        return default
    return int(environ.get(name, "").strip() or default)


def _problem(environ: Mapping[str, str], name: str, least: int, default: str) -> str | None:
    value = environ.get(name, "").strip()
    if not value or (value.isdecimal() and int(value) >= least):
        return None
    return f"{name}={value!r}: expected a whole number of at least {least}; using {default}"
