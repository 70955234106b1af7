"""A cache in front of a model tells its hits, misses and size."""

from __future__ import annotations

import gc

from instrumentation import Model
from tests.support.memory import Telemetry, only


def test_hits_and_misses_are_counted_and_on_the_span(telemetry: Telemetry) -> None:
    """The look-up reads as one; the last one of a prediction is told on its span."""
    model = Model("cached", version="1")
    answers: dict[str, str] = {}
    cache = model.cache("answers", size=lambda: len(answers))
    for _ in range(3):
        with model.predict() as p:
            if not cache.hit("key" in answers):
                answers["key"] = "cat"
            p.result(answers["key"])
    found = telemetry.metrics()
    hits = only(found["ml.cache.requests"], ml__cache__result="hit")
    assert (hits.value, hits.attributes["ml.cache.name"], hits.attributes["ml.model.name"]) == (2, "answers", "cached")
    assert only(found["ml.cache.requests"], ml__cache__result="miss").value == 1
    assert only(found["ml.cache.size"], ml__cache__name="answers").value == 1
    results = [(span.attributes or {})["ml.cache.result"] for span in telemetry.spans()]
    assert results == ["miss", "hit", "hit"]


def test_outside_of_a_prediction_and_without_a_size_it_counts(telemetry: Telemetry) -> None:
    """`miss()` is the other half where `hit(found)` does not fit."""
    cache = Model("cached-alone").cache("features")
    cache.hit()
    cache.miss()
    found = telemetry.metrics()
    assert {point.value for point in found["ml.cache.requests"]} == {1}
    assert "features" not in {point.attributes["ml.cache.name"] for point in found.get("ml.cache.size", [])}


def test_a_cache_that_is_gone_is_no_longer_reported(telemetry: Telemetry) -> None:
    """Nor is its size asked for."""
    Model("short").cache("gone", size=lambda: 1)
    gc.collect()
    points = telemetry.metrics().get("ml.cache.size", [])
    assert "gone" not in {point.attributes["ml.cache.name"] for point in points}
