"""The figures of one model: how fast it answers, what it says, how sure it is, and what goes wrong in which stage."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Final, TypeAlias

from sidecar import semconv
from sidecar.bridge.model import Attributes, HistogramValue
from sidecar.page.quantiles import Latency, latency, mean, share, total
from sidecar.page.readings import Key, Number, Reading

#: Rows of any table; what is cut is the least of it.
MAX_ROWS: Final = 40

METRICS: Final = frozenset(
    metric.name
    for metric in (
        semconv.ML_PREDICTIONS,
        semconv.ML_PREDICTIONS_ACTIVE,
        semconv.ML_PREDICTION_DURATION,
        semconv.ML_PREDICTION_CONFIDENCE,
        semconv.ML_PREDICTION_ERRORS,
        semconv.ML_STAGE_DURATION,
        semconv.ML_MODEL_LOADED,
        semconv.ML_MODEL_INFO,
    )
)
_Identity: TypeAlias = tuple[str, str]
_STAGES: Final = (
    semconv.ML_STAGE_QUEUE,
    semconv.ML_STAGE_PREPROCESS,
    semconv.ML_STAGE_INFERENCE,
    semconv.ML_STAGE_POSTPROCESS,
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of predictions; `share` of all stages' time, 0 to 1."""

    name: str
    count: int
    share: float
    latency: Latency


@dataclass(frozen=True, slots=True)
class ClassRow:
    """Successful predictions of one class: in all, per second, and its share in the window."""

    label: str
    total: int
    rate: float
    share: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """Predictions whose confidence is above `low` and at most `high`, and their share."""

    low: float
    high: float
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """Failed predictions of one exception type in one stage."""

    error_type: str
    stage: str
    total: int
    rate: float


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """One version of one model.

    Attributes:
        loaded: None when the service does not say.
        info: what else it says of itself.
        total: finished predictions, both outcomes.
        rate: likewise per second.
        errors: share of failed ones in the window, None without predictions.
        active: in flight.
        confidence_mean: 0 to 1, in the window.
        confidence: its distribution in the window.
    """

    name: str
    version: str
    loaded: bool | None
    info: Attributes
    total: int
    rate: float
    errors: float | None
    active: int
    latency: Latency
    confidence_mean: float | None
    classes: tuple[ClassRow, ...]
    confidence: tuple[Bucket, ...]
    stages: tuple[Stage, ...]
    error_rows: tuple[ErrorRow, ...]


def models(now: Reading, recent: Reading, window_s: float) -> tuple[ModelFigures, ...]:
    """Every model and version that a reading has; `recent` is what was added in the last `window_s` seconds."""
    everything, lately = _by_model(now), _by_model(recent)
    return tuple(
        _model(identity, everything[identity], lately.get(identity, Reading()), window_s)
        for identity in sorted(everything)[:MAX_ROWS]
    )


def _model(identity: _Identity, mine: Reading, lately: Reading, window_s: float) -> ModelFigures:
    outcomes: Counter[str] = Counter()
    for attributes, value in lately.number(semconv.ML_PREDICTIONS):
        outcomes[attributes.get(semconv.ML_PREDICTION_OUTCOME, "")] += int(value)
    confidence = total(value for _, value in lately.histogram(semconv.ML_PREDICTION_CONFIDENCE))
    loaded = [bool(value) for _, value in mine.number(semconv.ML_MODEL_LOADED)]
    described = next((attributes for attributes, _ in mine.number(semconv.ML_MODEL_INFO)), {})
    return ModelFigures(
        name=identity[0],
        version=identity[1],
        loaded=all(loaded) if loaded else None,
        info=tuple(
            pair for pair in described.items() if pair[0] not in (semconv.ML_MODEL_NAME, semconv.ML_MODEL_VERSION)
        ),
        total=mine.sum(semconv.ML_PREDICTIONS),
        rate=outcomes.total() / window_s,
        errors=share(outcomes[semconv.ML_PREDICTION_OUTCOME_ERROR], outcomes.total()),
        active=mine.sum(semconv.ML_PREDICTIONS_ACTIVE),
        latency=latency(total(value for _, value in lately.histogram(semconv.ML_PREDICTION_DURATION))),
        confidence_mean=mean(confidence),
        classes=_classes(mine, lately, window_s),
        confidence=_buckets(confidence),
        stages=_stages(lately),
        error_rows=_errors(mine, lately, window_s),
    )


def _classes(mine: Reading, lately: Reading, window_s: float) -> tuple[ClassRow, ...]:
    def counted(reading: Reading) -> Counter[str]:
        counts: Counter[str] = Counter()
        for attributes, value in reading.number(semconv.ML_PREDICTIONS):
            label = attributes.get(semconv.ML_PREDICTION_CLASS)
            if (
                label is not None
                and attributes.get(semconv.ML_PREDICTION_OUTCOME) != semconv.ML_PREDICTION_OUTCOME_ERROR
            ):
                output = attributes.get(semconv.ML_PREDICTION_ATTRIBUTE)
                counts[f"{output}: {label}" if output else label] += int(value)
        return counts

    everything, new = counted(mine), counted(lately)
    rows = [
        ClassRow(label, count, new[label] / window_s, share(new[label], new.total()) or 0.0)
        for label, count in everything.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.total, row.label))[:MAX_ROWS])


def _buckets(histogram: HistogramValue) -> tuple[Bucket, ...]:
    """The distribution of a value between 0 and 1; the overflow bucket only when something is in it."""
    buckets: list[Bucket] = []
    low = 0.0
    for high, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        if count or high <= 1:
            buckets.append(Bucket(low, high, count, share(count, histogram.count) or 0.0))
        low = high
    return tuple(buckets) if histogram.count else ()


def _stages(lately: Reading) -> tuple[Stage, ...]:
    parts: dict[str, list[HistogramValue]] = defaultdict(list)
    for attributes, value in lately.histogram(semconv.ML_STAGE_DURATION):
        parts[attributes.get(semconv.ML_STAGE, "")].append(value)
    stages = {name: total(values) for name, values in parts.items()}
    spent = sum(stage.sum for stage in stages.values())
    order = {name: at for at, name in enumerate(_STAGES)}
    names = sorted(stages, key=lambda name: (order.get(name, len(order)), name))
    return tuple(
        Stage(name, stages[name].count, stages[name].sum / spent if spent else 0.0, latency(stages[name]))
        for name in names[:MAX_ROWS]
    )


def _errors(mine: Reading, lately: Reading, window_s: float) -> tuple[ErrorRow, ...]:
    def counted(reading: Reading) -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        for attributes, value in reading.number(semconv.ML_PREDICTION_ERRORS):
            counts[attributes.get(semconv.ERROR_TYPE, ""), attributes.get(semconv.ML_STAGE, "")] += int(value)
        return counts

    everything, new = counted(mine), counted(lately)
    rows = [ErrorRow(*key, count, new[key] / window_s) for key, count in everything.items() if count]
    return tuple(sorted(rows, key=lambda row: (-row.total, row.error_type, row.stage))[:MAX_ROWS])


def _by_model(reading: Reading) -> dict[_Identity, Reading]:
    """The reading's parts that belong to one model each."""
    numbers: dict[_Identity, dict[Key, Number]] = defaultdict(dict)
    histograms: dict[_Identity, dict[Key, HistogramValue]] = defaultdict(dict)
    for key, number in reading.numbers.items():
        if key[0] in METRICS:
            numbers[_identity(key)][key] = number
    for key, histogram in reading.histograms.items():
        if key[0] in METRICS:
            histograms[_identity(key)][key] = histogram
    return {
        identity: Reading(numbers.get(identity, {}), histograms.get(identity, {}))
        for identity in numbers.keys() | histograms.keys()
    }


def _identity(key: Key) -> _Identity:
    attributes = dict(key[1])
    return attributes.get(semconv.ML_MODEL_NAME, ""), attributes.get(semconv.ML_MODEL_VERSION, "")
