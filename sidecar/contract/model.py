"""What `observability.yaml` says, as frozen types: the loader, the JSON Schema and every reader share them.

Only what is implemented is here, so that no key in a file is silently without effect.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

PrometheusName = Annotated[str, Meta(pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
LabelName = Annotated[str, Meta(pattern="^[a-zA-Z_][a-zA-Z0-9_]*$")]
MergeRule = Literal["sum", "max", "min", "mean", "last"]
TranslationName = Literal[
    "UnderscoreEscapingWithSuffixes", "UnderscoreEscapingWithoutSuffixes", "NoUTF8EscapingWithSuffixes", "NoTranslation"
]


class Service(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which service this is."""

    name: Annotated[str, Meta(min_length=1, description="The service's name, as in OTEL_SERVICE_NAME.")]


class Model(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which model it serves."""

    name: Annotated[str, Meta(min_length=1, description="As in Model(name): the attribute ml.model.name.")]
    version: Annotated[str | None, Meta(description="As in Model(version=).")] = None


class Label(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a view's label gets its value from: an attribute, or one fixed text."""

    attribute: Annotated[str | None, Meta(description="OTel attribute, e.g. http.response.status_code.")] = None
    value: Annotated[str | None, Meta(description="A fixed value instead of an attribute.")] = None
    as_: Annotated[Literal["class"] | None, Meta(description="class: a status code as its class, 204 as 2xx.")] = field(
        default=None, name="as"
    )
    map: Annotated[dict[str, str], Meta(description="Values to replace, after `as`; others stay.")] = {}
    default: Annotated[str | None, Meta(description="The value where the attribute is missing.")] = None


class View(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One metric under a team's own name, labels and unit, beside its canonical name."""

    metric: Annotated[str, Meta(min_length=1, description="OTel name, e.g. ml.prediction.duration.")]
    name: Annotated[PrometheusName, Meta(description="The name on /metrics, with its suffixes.")]
    read: Annotated[
        Literal["value", "count", "sum"], Meta(description="Of a histogram: count or sum, as a counter.")
    ] = "value"
    where: Annotated[
        dict[str, str | list[str]],
        Meta(description="Only series whose attributes have this value, or one of these."),
    ] = {}
    labels: Annotated[
        dict[LabelName, str | Label] | None,
        Meta(
            description="The labels to show, each from an attribute; series that become equal are merged. "
            "Without it all attributes stay."
        ),
    ] = None
    unit: Annotated[str | None, Meta(description="Convert to this unit, e.g. ms.")] = None
    help: Annotated[str | None, Meta(description="HELP text; else the metric's own description.")] = None


class Contract(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The contract between a service and what observes it."""

    service: Annotated[Service | None, Meta(description="Which service this is.")] = None
    model: Annotated[Model | None, Meta(description="Which model it serves.")] = None
    views: Annotated[tuple[View, ...], Meta(description="Further names for metrics on /metrics.")] = ()
    merge: Annotated[
        dict[str, MergeRule],
        Meta(description="How the workers' values of a gauge or up-down counter become one, by OTel name."),
    ] = {}
    translation: Annotated[
        TranslationName,
        Meta(description="How OTel names become names on /metrics; views keep the names they were given."),
    ] = "UnderscoreEscapingWithSuffixes"
