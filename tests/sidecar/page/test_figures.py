"""Figures of requests and models from readings, each checked against numbers worked out by hand."""

from __future__ import annotations

import pytest

from sidecar import semconv
from sidecar.page.figures import METRICS, figures, overall
from sidecar.page.models import MAX_ROWS, ClassRow, ErrorRow
from sidecar.page.readings import Reading
from tests.sidecar.page.pods import ERROR, MODEL, OK, PREDICTION, duration_of, reading, recorded

CAT, DOG = (*OK, ("ml.prediction.class", "cat")), (*OK, ("ml.prediction.class", "dog"))


def test_requests_in_a_window() -> None:
    """Rates and shares are of the window, totals of everything."""
    before = reading([duration_of(100, 0.01), duration_of(50, 0.01, status="500")])
    now = reading([duration_of(196, 0.01), duration_of(51, 0.01, status="500"), duration_of(3, 0.01, status="415")])
    shown = figures(now, now.since(before), 10.0, since_start=False).requests
    assert (shown.total, shown.server_errors_total, shown.client_errors_total) == (250, 51, 3)
    assert shown.rate == pytest.approx(10.0)
    assert (shown.server_errors, shown.client_errors) == (0.01, 0.03)
    assert shown.latency.p50 == pytest.approx(0.0075)
    assert shown.latency.mean == pytest.approx(0.01)


def test_a_request_without_an_answer_is_a_failure() -> None:
    """A client that went away, or a crash before the status: error.type without a status counts as failed."""
    attributes = ((semconv.ERROR_TYPE, "ClientDisconnect"), (semconv.HTTP_REQUEST_METHOD, "POST"))
    now = reading([(attributes, recorded(semconv.HTTP_SERVER_REQUEST_DURATION, 2, 0.1)), duration_of(2, 0.1)])
    assert figures(now, now, 1.0, since_start=True).requests.server_errors == 0.5


def test_endpoints_are_apart_and_the_busiest_is_first() -> None:
    """Statuses of one route are joined; a route that was only used before stays, with its total."""
    before = reading([duration_of(500, 0.01, route="/old")])
    now = reading(
        [
            duration_of(500, 0.01, route="/old"),
            duration_of(5, 0.01, route="/health", method="GET"),
            duration_of(6, 0.4),
            duration_of(2, 0.01, status="400"),
        ]
    )
    shown = figures(now, now.since(before), 1.0, since_start=False).endpoints
    assert [(one.method, one.route, one.traffic.total) for one in shown] == [
        ("POST", "/predict", 8),
        ("GET", "/health", 5),
        ("POST", "/old", 500),
    ]
    assert shown[0].traffic.client_errors == 0.25
    assert shown[2].traffic.latency.p95 is None
    assert shown[2].traffic.server_errors is None


def test_an_attack_on_routes_does_not_make_an_endless_page() -> None:
    """Rows are bounded; the busiest stay."""
    now = reading([duration_of(i, 0.01, route=f"/{i}") for i in range(1, 200)])
    shown = figures(now, now, 1.0, since_start=True).endpoints
    assert len(shown) == MAX_ROWS
    assert shown[0].route == "/199"


def test_a_models_predictions() -> None:
    """Classes with totals, rates and shares of the window; failures apart from them."""
    before = reading(counts=[(PREDICTION, CAT, 10)])
    now = reading(
        counts=[
            (PREDICTION, CAT, 16),
            (PREDICTION, DOG, 2),
            (PREDICTION, ERROR, 2),
            (semconv.ML_PREDICTIONS_ACTIVE, MODEL, 3),
            (semconv.ML_MODEL_INFO, (*MODEL, ("api_version", "2.1")), 1),
            (
                semconv.ML_PREDICTION_ERRORS,
                (*MODEL, ("error.type", "NotAnImageError"), ("ml.stage", "preprocess")),
                2,
            ),
        ],
        loaded=1,
    )
    (model,) = figures(now, now.since(before), 2.0, since_start=False).models
    assert (model.name, model.version, model.loaded) == ("catvsdog", "1.4.0", True)
    assert model.info == (("api_version", "2.1"),)
    assert (model.total, model.rate, model.errors, model.active) == (20, 5.0, 0.2, 3)
    assert model.classes == (ClassRow("cat", 16, 3.0, 0.75), ClassRow("dog", 2, 1.0, 0.25))
    assert model.error_rows == (ErrorRow("NotAnImageError", "preprocess", 2, 1.0),)


def test_confidence_and_stages() -> None:
    """The distribution has every bucket up to 1; stages stand in the order of the work, with their share of time."""
    confidence, stage = semconv.ML_PREDICTION_CONFIDENCE, semconv.ML_STAGE_DURATION
    now = reading(
        histograms=[
            (confidence, CAT, recorded(confidence, 3, 0.97)),
            (confidence, DOG, recorded(confidence, 1, 0.55)),
            (stage, (*MODEL, ("ml.stage", "inference")), recorded(stage, 4, 0.02)),
            (stage, (*MODEL, ("ml.stage", "preprocess")), recorded(stage, 4, 0.06)),
            (stage, (*MODEL, ("ml.stage", "resize")), recorded(stage, 4, 0.02)),
        ]
    )
    (model,) = figures(now, now, 1.0, since_start=True).models
    assert [(one.name, one.count) for one in model.stages] == [("preprocess", 4), ("inference", 4), ("resize", 4)]
    assert model.stages[0].share == pytest.approx(0.6)
    shares = {(one.low, one.high): one.share for one in model.confidence if one.count}
    assert shares == {(0.5, 0.6): 0.25, (0.95, 0.99): 0.75}
    assert len(model.confidence) == len(confidence.buckets)
    assert model.confidence_mean == pytest.approx((3 * 0.97 + 0.55) / 4)


def test_two_versions_are_two_models() -> None:
    """A rollout shows both versions side by side."""
    other = (("ml.model.name", "catvsdog"), ("ml.model.version", "2.0.0"), ("ml.prediction.class", "cat"))
    now = reading(counts=[(PREDICTION, CAT, 4), (PREDICTION, other, 6)])
    shown = figures(now, now, 1.0, since_start=True).models
    assert [(model.version, model.total) for model in shown] == [("1.4.0", 4), ("2.0.0", 6)]


def test_outputs_of_one_model_are_told_apart() -> None:
    """A multi-output model's classes carry the output's name."""
    smile = (*OK, ("ml.prediction.attribute", "smiling"), ("ml.prediction.class", "yes"))
    now = reading(counts=[(PREDICTION, smile, 2)])
    assert figures(now, now, 1.0, since_start=True).models[0].classes[0].label == "smiling: yes"


def test_a_pod_without_data_has_empty_figures() -> None:
    """Nothing divides by zero before the first export."""
    shown = figures(Reading(), Reading(), 0.0, since_start=True)
    assert (shown.requests.total, shown.requests.rate, shown.models, shown.endpoints) == (0, 0.0, (), ())
    assert shown.requests.server_errors is None
    assert overall(Reading())[:2] == (0, 0)


def test_only_names_of_the_registry_are_read() -> None:
    """Every metric the page reads is defined in the registry."""
    assert {metric.name for metric in semconv.METRICS} >= METRICS
