"""OpenTelemetry names as Prometheus names: the rules of the compatibility spec 1.60, as tables.

Source: OpenTelemetry specification 1.60, compatibility/prometheus_and_openmetrics.md, "OTLP Metric points to
Prometheus", and metrics/sdk_exporters/prometheus.md, "Configuration"; each rule names its section. Where the spec
leaves room, Prometheus' own OTLP receiver (otlptranslator 1.0) decides, so that a metric has one name whether it is
scraped here or sent there. It differs where it leaves the spec: it drops leading and trailing underscores, has no word
for a rate per `min`, and takes a whole unit away for a bracket in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from sidecar.bridge.escaping import Escaping, escaped_label, escaped_metric
from sidecar.bridge.model import Attributes, Family, Kind

#: "Metric Metadata": "converting from abbreviations to full words"; the words are those of Prometheus' receiver.
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


class Translation(StrEnum):
    """How much of a name is changed (Prometheus exporter spec, "Configuration", `translation_strategy`)."""

    UNDERSCORES = "UnderscoreEscapingWithSuffixes"
    UNDERSCORES_ONLY = "UnderscoreEscapingWithoutSuffixes"
    UTF8 = "NoUTF8EscapingWithSuffixes"
    NONE = "NoTranslation"

    @property
    def escapes(self) -> bool:
        """Whether discouraged characters become underscores here already, for every scraper alike."""
        return self in (Translation.UNDERSCORES, Translation.UNDERSCORES_ONLY)

    @property
    def suffixes(self) -> bool:
        """Whether unit and type are told by the name's end."""
        return self in (Translation.UNDERSCORES, Translation.UTF8)


@dataclass(frozen=True, slots=True)
class Naming:
    """How names look in one scrape.

    "The content negotiation requirements MUST take precedence over the configured translation strategy" (Prometheus
    exporter spec): names of the UTF-8 strategies are escaped for a scraper that has not said it can read them.

    Attributes:
        translation: the contract's choice.
        escaping: the scraper's.
    """

    translation: Translation = Translation.UNDERSCORES
    escaping: Escaping = Escaping.UNDERSCORES


PLAIN: Final = Naming()


def metric_name(name: str, kind: Kind, unit: str, naming: Naming = PLAIN) -> str:
    """The name with its unit and type suffix, e.g. `http.server.request.duration`, s → `…_duration_seconds`.

    For counters it is the name of the sample, with `_total` ("Sums"); OpenMetrics' family name lacks it. A name that
    would begin with a digit gets an underscore, as in Prometheus' receiver.
    """
    escapes = naming.translation.escapes
    parts = _clean(name, _NOT_IN_NAME) if escapes else name
    if naming.translation.suffixes:
        type_word = SUFFIXES.get(kind, "")
        # "Metric Metadata": a suffix that the name has already is not repeated; the unit goes before the type's.
        if _ends(parts, type_word):
            parts = parts[: -len(type_word) - 1]
        for word in (unit_word(unit, kind), type_word):
            if word and parts != word and not _ends(parts, word):
                parts = f"{parts}_{word}"
    if not escapes:
        return escaped_metric(parts, naming.escaping)
    parts = _UNDERSCORES.sub("_", parts)
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
def label_name(key: str, naming: Naming = PLAIN) -> str:
    """An attribute's key as a label's name ("Metric Attributes"); `key_` before a digit is Prometheus' receiver's.

    Prometheus keeps names that begin with `__` for itself: an attribute must not rename its series.
    """
    if not naming.translation.escapes and not key.startswith("__"):
        return escaped_label(key, naming.escaping)
    name = _clean(key, _NOT_IN_LABEL)
    return f"key_{name}" if name[0].isdigit() else name


def labels(attributes: Iterable[tuple[str, str]], kind: Kind, naming: Naming = PLAIN) -> Attributes:
    """Attributes as sorted labels; keys that become one label join their values ("Metric Attributes").

    "… the values MUST be concatenated together, separated by `;`, and ordered by the lexicographical order of the
    original keys." An empty value is no label in Prometheus, so it is left out.
    """
    joined: dict[str, str] = {}
    reserved = RESERVED.get(kind, {})
    for key, value in sorted(attributes):
        name = label_name(key, naming)
        name = reserved.get(name, name)
        joined[name] = f"{joined[name]};{value}" if name in joined else value
    return tuple(sorted((name, value) for name, value in joined.items() if value))


def scope_labels(family: Family) -> tuple[tuple[str, str], ...]:
    """The scope as further attributes of each sample ("Instrumentation Scope")."""
    name, version = family.scope
    own = {
        "otel_scope_name": name,
        "otel_scope_version": version,
        "otel_scope_schema_url": family.schema_url,
    }
    # "Scope attributes that … would conflict with `otel_scope_name`, … MUST be dropped."
    extra = {
        key: value for label, value in family.scope_attributes if label_name(key := f"otel_scope_{label}") not in own
    }
    return tuple((own | extra).items())


def _ends(name: str, word: str) -> bool:
    return bool(word) and name.endswith((f"_{word}", f".{word}"))


def _clean(name: str, wrong: re.Pattern[str]) -> str:
    """Per "Metric Metadata": "Discouraged characters … SHOULD be replaced with `_`", several in a row with one."""
    return _UNDERSCORES.sub("_", wrong.sub("_", name)) or "_"


def _unit(unit: str, words: dict[str, str]) -> str:
    return words[unit] if unit in words else _clean(unit, _NOT_IN_LABEL).strip("_") if unit else ""
