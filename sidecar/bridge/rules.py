"""How the workers' gauges become one number: declared by the contract (`merge:`), else this table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from sidecar import semconv
from sidecar.bridge.model import Kind


class Rule(StrEnum):
    """What several live workers' values of one gauge say together."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"
    MEAN = "mean"
    LAST = "last"


#: First match wins. Names with a `*` are OTel semantic conventions' namespaces.
GAUGES: Final[tuple[tuple[str, Rule], ...]] = (
    (semconv.ML_MODEL_LOADED.name, Rule.MIN),  # the pod is ready when every worker is
    (semconv.ML_MODEL_INFO.name, Rule.MAX),
    ("*.info", Rule.MAX),
    ("process.uptime", Rule.MAX),
    ("*.utilization", Rule.MEAN),  # a share of a whole stays one
    ("*.limit", Rule.MAX),
    ("process.*", Rule.SUM),  # memory, threads, open files: the pod uses what its processes use together
    ("system.*", Rule.LAST),  # every worker reads the same machine
)


def rule_for(name: str, kind: Kind, declared: Mapping[str, Rule]) -> Rule:
    """The rule of a gauge or up-down counter; up-down counters are sums unless the contract says otherwise.

    The default of gauges is `last`: the newest value of any live worker is at least a value that somebody measured.
    """
    if name in declared:
        return declared[name]
    if kind is Kind.UPDOWN and not name.startswith("system."):
        return Rule.SUM
    return next((rule for pattern, rule in GAUGES if fnmatchcase(name, pattern)), Rule.LAST)
