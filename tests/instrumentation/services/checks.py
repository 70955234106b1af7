"""The sample service's own tests, as its team would write them; run in a process of their own by `test_testing.py`."""

from __future__ import annotations

import pytest
from service import app, model  # type: ignore[import-not-found] # beside this file, as in a service's own folder
from starlette.testclient import TestClient

from instrumentation.testing import Captured, capture, captured

__all__ = ["captured"]


def test_with_the_fixture(captured: Captured) -> None:
    """Counts begin at zero and spans are this test's."""
    for name in ("cat", "cat", "dog"):
        assert TestClient(app).get(f"/predict/{name}").json()["class"] == name
    assert captured.value("ml.predictions", {"ml.prediction.class": "cat"}) == 2
    assert captured.value("ml.predictions") == 3
    assert captured.value("ml.prediction.errors") == 0
    assert [span.name for span in captured.spans].count("GET /predict/{name}") == 3
    with pytest.raises(AssertionError, match="3 spans are named 'inference'"):
        captured.span("inference")


def test_with_the_context_manager() -> None:
    """It begins at zero again, and can be asked when it is over; what comes later is not in it."""
    with capture() as recorded:
        TestClient(app).get("/predict/cat")
    TestClient(app).get("/predict/cat")
    assert recorded.value("ml.predictions") == 1
    server = recorded.span("GET /predict/{name}")
    parent = recorded.span("inference").parent
    assert parent is not None
    assert server.context is not None
    assert parent.span_id == server.context.span_id


def test_time_stands_still_until_it_is_told(captured: Captured) -> None:
    """Durations are exact."""
    with model.predict() as p:
        with p.inference():
            captured.clock.advance(0.25)
        captured.clock.advance(0.5)
    assert captured.value("ml.stage.duration", {"ml.stage": "inference"}) == 0.25
    assert captured.value("ml.prediction.duration") == 0.75
    TestClient(app).get("/predict/cat")
    assert captured.count("http.server.request.duration") == 1
    assert captured.value("http.server.request.duration") == 0
    span = captured.span("predict sample")
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 750_000_000
    (point,) = captured.points("ml.stage.duration")
    assert point.attributes["ml.model.name"] == "sample"
