"""A prediction tells what it did in spans and metrics, whatever happens in it."""

from __future__ import annotations

import asyncio
import gc

import numpy as np
import pytest
from fastapi import FastAPI, HTTPException
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from starlette.testclient import TestClient

from instrumentation import Model, Prediction, Result, instrument
from instrumentation.guard import guard
from tests.support.memory import Telemetry, only


@pytest.fixture
def model(request: pytest.FixtureRequest) -> Model:
    return Model(f"model-of-{request.node.name}"[:60], version="1.4.0")


def test_a_prediction_has_its_stages_as_children_in_order(model: Model, telemetry: Telemetry) -> None:
    """One `predict` span with `preprocess` and `inference` under it; class and score are on it."""
    with model.predict() as p:
        with p.preprocess():
            pass
        with p.inference():
            pass
        p.result("cat", confidence=0.93)
    first, second, predict = telemetry.spans()
    assert [first.name, second.name, predict.name] == ["preprocess", "inference", f"predict {model.name}"]
    assert predict.context is not None
    assert [span.parent.span_id for span in (first, second) if span.parent] == [predict.context.span_id] * 2
    assert first.end_time is not None
    assert second.start_time is not None
    assert first.end_time <= second.start_time
    assert dict(predict.attributes or {}) == {
        "ml.model.name": model.name,
        "ml.model.version": "1.4.0",
        "ml.prediction.id": p.id,
        "ml.prediction.outcome": "success",
        "ml.prediction.class": "cat",
        "ml.prediction.score": 0.93,
    }


def test_a_prediction_is_counted_with_its_class_confidence_and_durations(model: Model, telemetry: Telemetry) -> None:
    """The `ml.*` metrics of one good prediction."""
    with model.predict() as p:
        with p.inference():
            active = only(telemetry.metrics()["ml.predictions.active"], ml__model__name=model.name)
        p.result("dog", confidence=0.6)
    assert active.value == 1
    found = telemetry.metrics()
    counted = only(found["ml.predictions"], ml__model__name=model.name)
    assert counted.value == 1
    assert counted.attributes["ml.prediction.class"] == "dog"
    assert counted.attributes["ml.prediction.outcome"] == "success"
    confidence = only(found["ml.prediction.confidence"], ml__model__name=model.name)
    assert (confidence.value, confidence.count, confidence.attributes["ml.prediction.class"]) == (0.6, 1, "dog")
    duration = only(found["ml.prediction.duration"], ml__model__name=model.name)
    stage = only(found["ml.stage.duration"], ml__model__name=model.name)
    assert stage.attributes["ml.stage"] == "inference"
    assert 0 < stage.value <= duration.value
    assert duration.exemplars
    assert only(found["ml.predictions.active"], ml__model__name=model.name).value == 0


def test_the_registrys_buckets_hold_and_can_be_replaced(telemetry: Telemetry) -> None:
    """Defaults contain the usual SLO thresholds; `Model(buckets=...)` replaces them by metric."""
    with Model("default-buckets").predict():
        pass
    (point,) = telemetry.metrics()["ml.prediction.duration"]
    assert {0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0} <= set(point.boundaries)


@pytest.mark.parametrize("boundaries", [[1, 1], [2, 1], [float("nan")], [float("inf")]])
def test_boundaries_that_do_not_rise_are_refused_by_name(boundaries: list[float]) -> None:
    """A wrong argument of the code is an error where it is written."""
    with pytest.raises(ValueError, match=r"buckets\['ml.batch.size'\]: boundaries must be finite and rise"):
        Model("m", buckets={"ml.batch.size": boundaries})


def test_an_exception_is_an_error_of_its_stage_and_goes_on(model: Model, telemetry: Telemetry) -> None:
    """Type and stage are counted, the prediction's outcome is error, the exception is the caller's own."""
    boom = KeyError("pixel")
    with pytest.raises(KeyError) as raised, model.predict() as p, p.preprocess():
        raise boom
    assert raised.value is boom
    stage, predict = telemetry.spans()
    assert [event.name for event in stage.events] == ["exception"]
    assert [event.name for event in predict.events] == []
    assert stage.status.status_code is predict.status.status_code is StatusCode.ERROR
    found = telemetry.metrics()
    error = only(found["ml.prediction.errors"], ml__model__name=model.name)
    assert (error.value, error.attributes["error.type"], error.attributes["ml.stage"]) == (1, "KeyError", "preprocess")
    assert only(found["ml.predictions"], ml__model__name=model.name).attributes["ml.prediction.outcome"] == "error"
    assert "ml.prediction.confidence" not in found


def test_an_exception_outside_of_the_stages_is_the_predictions_own(model: Model, telemetry: Telemetry) -> None:
    """An exception that was handled in the service does not become another one's stage."""

    def predict() -> None:
        with model.predict() as p:
            with pytest.raises(KeyError), p.preprocess():
                raise KeyError
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        predict()
    error = only(telemetry.metrics()["ml.prediction.errors"], ml__model__name=model.name)
    assert error.attributes["ml.stage"] == "predict"
    assert error.attributes["error.type"] == "ZeroDivisionError"


def test_a_batch_counts_each_item_once_and_its_size(model: Model, telemetry: Telemetry) -> None:
    """Classes, pairs and Results may be mixed; the mean confidence has its own metric."""
    with model.predict() as p:
        p.results([("cat", 0.9), Result("dog", 0.5), "cat"])
    found = telemetry.metrics()
    assert only(found["ml.predictions"], ml__prediction__class="cat").value == 2
    assert only(found["ml.predictions"], ml__prediction__class="dog").value == 1
    assert only(found["ml.batch.size"], ml__model__name=model.name).value == 3
    assert only(found["ml.batch.confidence"], ml__model__name=model.name).value == pytest.approx(0.7)
    attributes = telemetry.span(f"predict {model.name}").attributes
    assert attributes is not None
    assert attributes["ml.prediction.count"] == 3


def test_an_empty_batch_counts_no_prediction(model: Model, telemetry: Telemetry) -> None:
    """A batch of none is a batch of size 0 and nothing else."""
    with model.predict() as p:
        p.results([])
    found = telemetry.metrics()
    assert "ml.predictions" not in found
    assert only(found["ml.batch.size"], ml__model__name=model.name).value == 0


def test_a_multi_output_prediction_counts_each_attribute(model: Model, telemetry: Telemetry) -> None:
    """One call, several outputs: one count for each, and no batch."""
    with model.predict() as p:
        p.result("yes", attribute="glasses", confidence=0.8)
        p.result("no", attribute="hat", confidence=0.7)
    found = telemetry.metrics()
    assert {(q.attributes["ml.prediction.attribute"], q.value) for q in found["ml.predictions"]} == {
        ("glasses", 1),
        ("hat", 1),
    }
    assert "ml.batch.size" not in found


def test_numpys_numbers_and_labels_are_taken(model: Model, telemetry: Telemetry) -> None:
    """What a model returns is rarely a Python float."""
    with model.predict() as p:
        p.result(np.int64(3), confidence=np.float32(0.5))  # type: ignore[arg-type] # what users do
    found = telemetry.metrics()
    assert only(found["ml.predictions"], ml__prediction__class="3").value == 1
    assert found["ml.prediction.confidence"][0].value == 0.5


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_a_confidence_out_of_range_is_left_out_and_the_prediction_counted(
    confidence: float, model: Model, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Telemetry never hurts the service: a guard takes the error in production, and counts it."""
    monkeypatch.delenv("PYTEST_VERSION")
    failures = guard.failures
    with model.predict() as p:
        p.result("cat", confidence=confidence)
    assert guard.failures == failures + 1
    found = telemetry.metrics()
    assert found["ml.predictions"][0].value == 1
    assert "ml.prediction.confidence" not in found


def test_the_prediction_id_names_the_trace(model: Model, telemetry: Telemetry) -> None:
    """From a prediction id one finds its trace."""
    with model.predict() as p:
        pass
    context = telemetry.span(f"predict {model.name}").context
    assert context is not None
    assert p.id == f"{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}"


def test_loading_is_measured_and_makes_the_model_loaded(model: Model, telemetry: Telemetry) -> None:
    """`ml.model.loaded` is 0, then 1, then 0 again when unloaded; the span is `load_model`."""
    states = [_loaded(model, telemetry)]
    with model.load():
        pass
    states.append(_loaded(model, telemetry))
    model.unload()
    states.append(_loaded(model, telemetry))
    assert states == [0, 1, 0]
    assert telemetry.span("load_model").status.status_code is StatusCode.UNSET


def test_a_failed_load_leaves_the_model_not_loaded(model: Model, telemetry: Telemetry) -> None:
    """The exception goes on; stage `load` has the error."""
    with pytest.raises(OSError, match="no such file"), model.load():
        raise OSError("no such file")
    found = telemetry.metrics()
    assert only(found["ml.model.loaded"], ml__model__name=model.name).value == 0
    error = only(found["ml.prediction.errors"], ml__model__name=model.name)
    assert (error.attributes["ml.stage"], error.attributes["error.type"]) == ("load", "OSError")
    assert only(found["ml.model.load.duration"], ml__model__name=model.name).attributes["error.type"] == "OSError"


def test_several_models_of_one_process_have_their_own_gauges(telemetry: Telemetry) -> None:
    """One instrument speaks for all models; what is given as info is on `ml.model.info`."""
    one, two = Model("gauge-one", version="1"), Model("gauge-two", version="2", info={"api_version": "v9"})
    with two.load():
        pass
    found = telemetry.metrics()
    assert only(found["ml.model.loaded"], ml__model__name=one.name).value == 0
    assert only(found["ml.model.loaded"], ml__model__name=two.name).value == 1
    assert only(found["ml.model.info"], ml__model__name=two.name).attributes["api_version"] == "v9"


def test_a_model_that_is_gone_is_no_longer_reported(telemetry: Telemetry) -> None:
    """A reloaded model does not leave its old version behind as loaded for ever."""
    Model("short-lived")
    gc.collect()
    points = telemetry.metrics().get("ml.model.loaded", [])
    assert "short-lived" not in {point.attributes["ml.model.name"] for point in points}


def test_feedback_is_right_wrong_or_unknown(model: Model, telemetry: Telemetry) -> None:
    """Ground truth is joined with this process's own recent predictions, once."""
    with model.predict() as p:
        p.result("cat")
    with model.predict() as batch:
        batch.results(["cat", "dog"])
    assert model.feedback(p.id, truth="cat") is True
    assert model.feedback(f"{batch.id}-1", truth="cat") is False
    assert model.feedback(p.id, truth="cat") is None
    outcomes = {
        point.attributes["ml.feedback.outcome"]: (point.value, point.attributes["ml.feedback.class"])
        for point in telemetry.metrics()["ml.feedback"]
    }
    assert outcomes == {"correct": (1, "cat"), "incorrect": (1, "cat"), "unknown": (1, "cat")}


def test_a_users_own_gauge_is_one_line(model: Model, telemetry: Telemetry) -> None:
    """It has the user's name and the model's attributes."""
    model.gauge("drift_score").set(0.25, window="1h")
    (point,) = telemetry.metrics()["drift_score"]
    assert point.value == 0.25
    assert point.attributes == {**model.attributes, "window": "1h"}


def test_predictions_of_concurrent_tasks_stay_apart(model: Model, telemetry: Telemetry) -> None:
    """Each stage is a child of its own task's prediction."""

    async def one() -> Prediction:
        with model.predict() as p:
            await asyncio.sleep(0)
            with p.inference():
                await asyncio.sleep(0)
            p.result("cat")
        return p

    async def many() -> list[Prediction]:
        return await asyncio.gather(*(one() for _ in range(20)))

    predictions = asyncio.run(many())
    stages = [span for span in telemetry.spans() if span.name == "inference"]
    parents = {trace.format_span_id(span.parent.span_id) for span in stages if span.parent}
    assert parents == {p.id.rpartition("-")[2] for p in predictions}
    assert len(parents) == 20


def test_a_requests_first_prediction_is_told_on_its_server_span(model: Model, telemetry: Telemetry) -> None:
    """Its stages are the server span's children; a second prediction of the request has a span of its own."""
    app = FastAPI()

    @app.get("/predict")
    def predict() -> str:
        with model.predict() as p:
            with p.preprocess():
                pass
            with p.inference():
                pass
            p.result("cat")
        with model.predict() as shadow, shadow.inference():
            pass
        return p.id

    instrument(app)
    prediction_id = TestClient(app).get("/predict").json()
    preprocess, inference, of_shadow, shadow, server = telemetry.spans()
    assert [span.name for span in (preprocess, inference, of_shadow)] == ["preprocess", "inference", "inference"]
    assert (server.name, shadow.name) == ("GET /predict", f"predict {model.name}")
    assert server.context is not None
    assert shadow.context is not None
    assert server.attributes is not None
    assert {span.parent.span_id for span in (preprocess, inference, shadow) if span.parent} == {server.context.span_id}
    assert of_shadow.parent is not None
    assert of_shadow.parent.span_id == shadow.context.span_id
    assert server.attributes["ml.prediction.id"] == prediction_id
    assert server.attributes["ml.prediction.class"] == "cat"


def test_a_failed_prediction_leaves_the_server_spans_status_to_the_response(model: Model, telemetry: Telemetry) -> None:
    """A bad upload is the client's error: 4xx, the stage's span has the exception, the server span is no error."""
    app = FastAPI()

    @app.get("/predict")
    def predict() -> None:
        with model.predict() as p, p.preprocess():
            raise HTTPException(422, "no image")

    instrument(app)
    assert TestClient(app).get("/predict").status_code == 422
    stage, server = telemetry.spans()
    assert (stage.status.status_code, server.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert server.attributes is not None
    assert server.attributes["ml.prediction.outcome"] == "error"
    assert "error.type" not in server.attributes


def test_a_model_needs_a_name() -> None:
    """An empty name is refused where it is written."""
    with pytest.raises(ValueError, match="a model needs a name"):
        Model("")


def _loaded(model: Model, telemetry: Telemetry) -> int:
    return int(only(telemetry.metrics()["ml.model.loaded"], ml__model__name=model.name).value)
