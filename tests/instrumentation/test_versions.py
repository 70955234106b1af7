"""Versions and roles of models: reload, canary, shadow, several in one process, and which predictions are kept."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from instrumentation import Model, instrument
from tests.support.memory import Telemetry, only


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Model:
    return Model(f"model-of-{request.node.name}"[:60], version="1", info={"framework": "torch"})


def versions(model: Model, telemetry: Telemetry) -> dict[str, int]:
    points = telemetry.metrics()["ml.model.loaded"]
    own = [point for point in points if point.attributes["ml.model.name"] == model.name]
    return {point.attributes["ml.model.version"]: point.value for point in own}


def test_a_reload_replaces_the_version_when_it_is_done(model: Model, telemetry: Telemetry) -> None:
    """Until then the old one is reported; predictions under way stay with it; info follows."""
    with model.load():
        pass
    with model.predict() as under_way:
        with model.load("2", info={"framework": "onnx"}):
            assert versions(model, telemetry) == {"1": 1}
        assert versions(model, telemetry) == {"2": 1}
        with under_way.inference():
            pass
    with model.predict():
        pass
    found = telemetry.metrics()
    assert {p.attributes["ml.model.version"] for p in found["ml.predictions"]} == {"1", "2"}
    assert only(found["ml.stage.duration"], ml__stage="inference").attributes["ml.model.version"] == "1"
    info = only(found["ml.model.info"], ml__model__name=model.name)
    assert (info.attributes["ml.model.version"], info.attributes["framework"]) == ("2", "onnx")
    active = [p for p in found["ml.predictions.active"] if p.attributes["ml.model.name"] == model.name]
    assert {p.value for p in active} == {0}


def test_a_failed_reload_leaves_the_old_version_answering(model: Model, telemetry: Telemetry) -> None:
    """Its error is the new version's."""
    with model.load():
        pass
    with pytest.raises(OSError, match="gone"), model.load("2"):
        raise OSError("gone")
    assert model.version == "1"
    assert model.loaded
    found = telemetry.metrics()
    assert only(found["ml.model.loaded"], ml__model__name=model.name).value == 1
    error = only(found["ml.prediction.errors"], ml__model__name=model.name)
    assert (error.attributes["ml.model.version"], error.attributes["ml.stage"]) == ("2", "load")


def test_a_canary_and_a_shadow_are_told_apart(model: Model, telemetry: Telemetry) -> None:
    """By the role on metrics and spans, and by the conventions' feature-flag event."""
    canary = Model(model.name, version="2", role="canary")
    with model.predict() as p:
        p.result("cat")
    with canary.predict() as p:
        p.result("dog")
    with model.predict(role="shadow") as p:
        p.result("cat")
    found = telemetry.metrics()
    loaded = {
        p.attributes.get("ml.model.role")
        for p in found["ml.model.loaded"]
        if p.attributes["ml.model.name"] == model.name
    }
    assert loaded == {None, "canary"}
    counted = {
        (p.attributes.get("ml.model.role"), p.attributes["ml.model.version"]): p.value for p in found["ml.predictions"]
    }
    assert counted == {(None, "1"): 1, ("canary", "2"): 1, ("shadow", "1"): 1}
    events = [[(e.name, dict(e.attributes or {})) for e in span.events] for span in telemetry.spans()]
    assert events == [
        [],
        [("feature_flag.evaluation", {"feature_flag.key": model.name, "feature_flag.result.variant": "canary"})],
        [("feature_flag.evaluation", {"feature_flag.key": model.name, "feature_flag.result.variant": "shadow"})],
    ]


def test_a_shadow_that_predicts_first_leaves_the_server_span_to_the_answer(model: Model, telemetry: Telemetry) -> None:
    """No request came for a shadow."""
    app = FastAPI()

    @app.get("/predict")
    def predict() -> str:
        with model.predict(role="shadow") as p:
            p.result("dog")
        with model.predict() as p:
            p.result("cat")
        return p.id

    instrument(app)
    TestClient(app).get("/predict")
    assert (telemetry.span("GET /predict").attributes or {})["ml.prediction.class"] == "cat"
    assert (telemetry.span(f"predict {model.name}").attributes or {})["ml.prediction.class"] == "dog"


@pytest.mark.parametrize(("confidence", "marked"), [(0.59, "low_confidence"), (0.6, ""), (None, "")])
def test_a_low_confidence_marks_the_trace_to_be_kept(
    confidence: float | None, marked: str, telemetry: Telemetry
) -> None:
    """Below the model's own threshold, alone or in a batch; the mark is on the request's span."""
    model = Model("unsure", low_confidence=0.6)
    app = FastAPI()

    @app.get("/predict")
    def predict() -> None:
        with model.predict() as p:
            p.results([("cat", 0.9), ("cat", confidence)])

    instrument(app)
    TestClient(app).get("/predict")
    reason = (telemetry.span("GET /predict").attributes or {}).get("otel_sidecar.keep_reason")
    assert reason in ({marked} if marked else {None, "ratio"})


def test_a_failed_prediction_marks_the_trace_to_be_kept(model: Model, telemetry: Telemetry) -> None:
    """Though the service answers without it."""
    app = FastAPI()

    @app.get("/predict")
    def predict() -> str:
        with pytest.raises(KeyError), model.predict(role="shadow"):
            raise KeyError
        return "fallback"

    instrument(app)
    assert TestClient(app).get("/predict").status_code == 200
    attributes = dict(telemetry.span("GET /predict").attributes or {})
    assert attributes["otel_sidecar.keep"] is True
    assert attributes["otel_sidecar.keep_reason"] == "failed_prediction"


def test_a_prediction_of_no_request_marks_its_own_trace(telemetry: Telemetry) -> None:
    """Background work is kept as well."""
    with Model("background", low_confidence=0.6).predict() as p:
        p.result("cat", confidence=0.1)
    assert (telemetry.span("predict background").attributes or {})["otel_sidecar.keep_reason"] == "low_confidence"


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    """Where it is written."""
    with pytest.raises(ValueError, match=r"Model\(low_confidence=.*\): must be from 0 to 1"):
        Model("m", low_confidence=threshold)
