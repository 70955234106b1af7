"""Decoded data points between the wire and the streams, so that the ordering rules never see protobuf."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.bridge.model import Attributes, Exemplar, Kind, Value


@dataclass(frozen=True, slots=True)
class Scope:
    """The instrumentation scope that made a metric."""

    name: str = ""
    version: str = ""
    schema_url: str = ""
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What tells one metric from another (OTel metrics data model, "Opentelemetry Protocol data model: identity").

    The description is no part of it: two workers of different versions may word it differently.
    """

    scope: Scope
    name: str
    kind: Kind
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One data point.

    Attributes:
        attributes: sorted pairs.
        start_ns: since when the value counts; 0 when the source does not say.
        time_ns: when it was read; 0 when the source does not say.
        value: None with OTLP's "no recorded value" flag: the stream has ended.
        exemplars: of a number; a histogram's are in its value.
    """

    attributes: Attributes
    start_ns: int
    time_ns: int
    value: Value | None
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricPoints:
    """The points of one metric in one export.

    Attributes:
        descriptor: which metric.
        description: its words.
        delta: each value counts its own (start, time] window only; else everything since the start.
        points: in the order of the export.
    """

    descriptor: Descriptor
    description: str
    delta: bool
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """What one process sent in one request; its full resource attributes are its identity."""

    resource: Attributes
    metrics: tuple[MetricPoints, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Points that cannot be used.

    Attributes:
        reason: a word of a fixed set, fit for a label.
        metric: the metric's name as it was sent.
        detail: what is wrong, for a person.
        points: how many.
    """

    reason: str
    metric: str
    detail: str
    points: int = 1


@dataclass(frozen=True, slots=True)
class Decoded:
    """A request, and what in it is unusable."""

    exports: tuple[Export, ...]
    problems: tuple[Problem, ...] = ()
