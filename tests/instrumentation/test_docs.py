"""What docs/instrumentation.md shows works as it stands there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.support.memory import Telemetry
from tests.support.processes import ROOT

PAGE = ROOT / "docs" / "instrumentation.md"


@pytest.fixture
def shown(telemetry: Telemetry) -> dict[str, Any]:
    """Every Python block of the page, run one after the other in one module."""
    assert telemetry.spans() == []
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    namespace: dict[str, Any] = {"__name__": "shown"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)  # noqa: S102 - what a reader would type
    return namespace


def test_the_snippets_run_and_their_handlers_answer(shown: dict[str, Any], telemetry: Telemetry) -> None:
    """The service of the page, asked over HTTP."""
    client = TestClient(shown["app"])
    assert client.get("/predict").json()["class"] == "dog"
    assert client.get("/describe").text == "a black cat "
    assert client.get("/batched").json() == "dog"
    found = telemetry.metrics()
    roles = {point.attributes.get("ml.model.role") for point in found["ml.predictions"]}
    assert roles == {None, "canary", "shadow"}
    assert {"ml.cache.size", "ml.feedback.delay", "churn_drift", "ml.prediction.time_to_first_chunk"} <= found.keys()
    (churn,) = [span for span in telemetry.spans() if span.name == "predict churn"]
    recorded = (churn.attributes or {})["ml.prediction.input"]
    assert recorded == '{"customer_name": "REDACTED", "mail": "REDACTED", "tenure": 3}'


def test_its_links_lead_somewhere() -> None:
    """Relative links are files of the repository."""
    links = re.findall(r"\]\(([^)#:]+)\)", PAGE.read_text())
    assert links
    assert [link for link in links if not (PAGE.parent / link).exists()] == []
