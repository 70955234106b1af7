"""OpenTelemetry names as Prometheus names: the rules of the compatibility spec 1.60, as tables.

Source: OpenTelemetry specification 1.60, compatibility/prometheus_and_openmetrics.md, "OTLP Metric points to
Prometheus"; each rule names its section. Where the spec leaves room, Prometheus' own OTLP receiver decides, so that a
metric has one name whether it is scraped here or sent there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from sidecar.bridge.model import Attributes, Family, Kind

#: "Metric Metadata": UCUM abbreviations and their words. Those after the blank line are not in the spec's table but in
#: Prometheus' receiver.
UNITS: Final = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tebibytes",
    "kBy": "kilobytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
    "wk": "weeks",
    "mo": "months",
    "a": "years",
    "1": "",
}
#: "Metric Metadata": "units defined as rates over time".
PER: Final = {"s": "second", "min": "minute", "m": "minute", "h": "hour", "d": "day", "w": "week", "wk": "week",
              "mo": "month", "y": "year", "a": "year"}  # fmt: skip
#: "Metric Metadata": the suffix by type comes after the unit; "Sums": `_total` for monotonic ones.
SUFFIXES: Final = {Kind.COUNTER: "total"}
#: Labels that a format needs for itself; an attribute of that name gives way, as at Prometheus' own collisions.
RESERVED: Final = {
    Kind.HISTOGRAM: {"le": "exported_le"},
    Kind.EXPONENTIAL: {"le": "exported_le"},
    Kind.SUMMARY: {"quantile": "exported_quantile"},
}

_BRACKETS = re.compile(r"\{[^}]*\}")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_:]+")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]+")
_UNDERSCORES = re.compile(r"_{2,}")


def metric_name(name: str, kind: Kind, unit: str) -> str:
    """The name with its unit and type suffix, e.g. `http.server.request.duration`, s → `…_duration_seconds`.

    For counters it is the name of the sample, with `_total`; OpenMetrics' family name lacks it.
    """
    parts = _clean(name, _NOT_IN_NAME)
    type_word = SUFFIXES.get(kind, "")
    # "Metric Metadata": a suffix that the name has already is not repeated; the unit goes before the type's.
    if type_word and parts.endswith(f"_{type_word}"):
        parts = parts.removesuffix(f"_{type_word}")
    for word in (unit_word(unit, kind), type_word):
        if word and parts != word and not parts.endswith(f"_{word}"):
            parts = _UNDERSCORES.sub("_", f"{parts}_{word}")
    return f"_{parts}" if parts[0].isdigit() else parts


def unit_word(unit: str, kind: Kind) -> str:
    """A UCUM unit as a word for names and UNIT comments; empty when there is none ("Metric Metadata")."""
    if unit == "1":
        # The spec is silent on "1" since 1.50; Prometheus' receiver says a gauge of it is a ratio.
        return "ratio" if kind is Kind.GAUGE else ""
    plain = _BRACKETS.sub("", unit)
    top, slash, bottom = plain.partition("/")
    word = _unit(top.strip(), UNITS)
    if slash:
        per = _unit(bottom.strip(), PER | {k: v for k, v in UNITS.items() if k not in PER})
        word = "_".join(filter(None, (word, f"per_{per}" if per else "")))
    return word


@lru_cache(maxsize=4096)  # the same few keys come with every series of every scrape
def label_name(key: str) -> str:
    """An attribute's key as a label's name ("Metric Attributes")."""
    name = _clean(key, _NOT_IN_LABEL)
    return f"key_{name}" if name[0].isdigit() else name


def labels(attributes: Iterable[tuple[str, str]], kind: Kind) -> Attributes:
    """Attributes as sorted labels; keys that become one label join their values ("Metric Attributes").

    "… the values MUST be concatenated together, separated by `;`, and ordered by the lexicographical order of the
    original keys." An empty value is no label in Prometheus, so it is left out.
    """
    joined: dict[str, str] = {}
    reserved = RESERVED.get(kind, {})
    for key, value in sorted(attributes):
        name = label_name(key)
        name = reserved.get(name, name)
        joined[name] = f"{joined[name]};{value}" if name in joined else value
    return tuple(sorted((name, value) for name, value in joined.items() if value))


def scope_labels(family: Family) -> tuple[tuple[str, str], ...]:
    """The scope as labels of each sample ("Instrumentation Scope")."""
    name, version = family.scope
    own = {
        "otel_scope_name": name,
        "otel_scope_version": version,
        "otel_scope_schema_url": family.schema_url,
    }
    # "Scope attributes that … would conflict with `otel_scope_name`, … MUST be dropped."
    extra = {
        label: value for key, value in family.scope_attributes if (label := label_name(f"otel_scope_{key}")) not in own
    }
    return tuple((own | extra).items())


def _clean(name: str, wrong: re.Pattern[str]) -> str:
    """Per "Metric Metadata": "Discouraged characters … SHOULD be replaced with `_`", several in a row with one."""
    return _UNDERSCORES.sub("_", wrong.sub("_", name)) or "_"


def _unit(unit: str, words: dict[str, str]) -> str:
    return words[unit] if unit in words else _clean(unit, _NOT_IN_LABEL).strip("_") if unit else ""
