"""Editors and the loader agree on what a contract is, and the documentation loads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from sidecar.batch import Batch, Signal
from sidecar.bridge import Bridge, BridgeSettings
from sidecar.contract import load_contract
from sidecar.contract.__main__ import main
from sidecar.contract.schema import schema, text
from tests.support import otlp_metrics as otlp
from tests.support.processes import ROOT

DOCS = (ROOT / "docs" / "contract.md").read_text()
SAMPLES = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)


def objects(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield part
        for value in part.values():
            yield from objects(value)
    elif isinstance(part, list):
        for item in part:
            yield from objects(item)


def test_the_schema_forbids_what_the_loader_forbids() -> None:
    made = schema()
    closed = [part for part in objects(made) if "properties" in part]
    assert {part["title"] for part in closed} == {"Contract", "Service", "Model", "View", "Label"}
    assert all(part["additionalProperties"] is False for part in closed)
    assert all(one["description"] for part in closed for one in part["properties"].values())


def test_the_committed_schema_is_the_one_in_the_code() -> None:
    """Write it anew: python -m sidecar.contract > docs/observability.schema.json."""
    assert (ROOT / "docs" / "observability.schema.json").read_text() == text()


def test_every_key_is_documented() -> None:
    for part in objects(schema()):
        for key in part.get("properties", {}):
            assert re.search(rf"`{key}[`:.]|\.{key}`", DOCS), key


def test_the_command_prints_the_schema_and_checks_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(schema()))
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("service: {name: x}")
    bad.write_text("nope: 1")
    assert main([str(good), str(bad)]) == 2
    said = capsys.readouterr()
    assert said.out == f"{good}: fine\n"
    assert said.err.startswith(f"{bad}:1: key nope: unknown key")


@pytest.mark.parametrize("sample", SAMPLES)
def test_documented_contracts_load(tmp_path: Path, sample: str) -> None:
    path = tmp_path / "observability.yaml"
    path.write_text(sample)
    assert load_contract(path).views


def test_the_whole_sample_shows_the_names_it_promises(tmp_path: Path) -> None:
    """SERVICES §1: every name with its labels, from what two workers send."""
    path = tmp_path / "observability.yaml"
    path.write_text(SAMPLES[0])
    contract = load_contract(path)
    bridge = Bridge(BridgeSettings(views=contract.views, merge=contract.merge), now_ns=lambda: 10**10)
    model = {"ml.model.name": "catvsdog", "ml.model.version": "1.4.0"}
    http: dict[str, otlp.Attribute] = {"http.request.method": "POST", "url.scheme": "http"}
    done = {**http, "http.route": "/predict", "http.response.status_code": 200}

    for start in (1, 2):

        def point(value: float, labels: otlp.Attributes | None = None, at: int = start) -> pb.NumberDataPoint:
            return otlp.point(value, labels, start=at, time=10**10)

        def histogram(name: str, counts: list[int], labels: otlp.Attributes, unit: str, at: int = start) -> pb.Metric:
            return otlp.histogram(
                name, otlp.histogram_point([0.5], counts, 0.5, labels, start=at, time=10**10), unit=unit
            )

        body = otlp.request(
            {"service.instance.id": str(start)},
            otlp.counter(
                "ml.predictions",
                point(3, {**model, "ml.prediction.class": "cat", "ml.prediction.outcome": "success"}),
                point(1, {**model, "ml.prediction.outcome": "error"}),
            ),
            histogram("ml.prediction.confidence", [0, 3], model, ""),
            histogram("ml.prediction.duration", [3, 0], model, "s"),
            otlp.counter("ml.prediction.errors", point(1, {**model, "ml.stage": "preprocess"})),
            otlp.updown("ml.predictions.active", point(1, model)),
            otlp.gauge("ml.model.info", point(1, {**model, "api.version": "v1"})),
            otlp.gauge("catvsdog.model.drift_score", point(0.25)),
            histogram("http.server.request.duration", [4, 0], done, "s"),
            histogram("http.server.request.duration", [1, 0], http, "s"),
            otlp.updown("http.server.active_requests", point(1, http)),
        )
        bridge.offer(Batch(Signal.METRICS, body, 1, 10**10))
    lines = bridge.expose().body.decode().splitlines()
    for expected in (
        'catvsdog_predictions_total{prediction_class="cat"} 6',
        "catvsdog_prediction_confidence_count 6",
        'catvsdog_prediction_latency_seconds_bucket{le="0.5"} 6',
        "catvsdog_image_processing_errors_total 2",
        "catvsdog_active_predictions 2",
        'catvsdog_model_info{api_version="v1",version="1.4.0"} 1',
        "catvsdog_model_drift_score 0.25",
        'http_requests_total{handler="/predict",method="POST",status="200"} 8',
        'http_requests_total{handler="none",method="POST"} 2',
        'http_request_duration_seconds_count{handler="/predict",method="POST"} 8',
        "http_requests_inprogress 2",
    ):
        assert expected in lines
    assert not [line for line in lines if "left_out" in line]
