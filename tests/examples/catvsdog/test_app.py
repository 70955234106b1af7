"""The service as a real process beside a real sidecar: answers, refusals, and the names its team knows on /metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from examples.catvsdog import images
from examples.catvsdog.decoding import PNG
from examples.catvsdog.images import Upload
from tests.support.processes import ROOT, Reply, free_port, http, python, running, wait_for

pytestmark = pytest.mark.integration

CONTRACT = ROOT / "examples" / "catvsdog" / "observability.yaml"


@dataclass
class Service:
    """Where the service and its sidecar's metrics are."""

    url: str
    sidecar: str

    def predict(self, upload: Upload, field: str = "file") -> Reply:
        head = (
            f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="{upload.name}"\r\n'
            f"Content-Type: {upload.content_type}\r\n\r\n"
        )
        body = head.encode() + upload.body + b"\r\n--edge--\r\n"
        headers = {"content-type": "multipart/form-data; boundary=edge"}
        return http(f"{self.url}/predict", body=body, headers=headers, timeout_s=30)

    def samples(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """What /metrics on the service's own port says: value by name and labels."""
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(http(f"{self.url}/metrics").text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return found


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    otlp, metrics, own = free_port(), free_port(), free_port()
    sidecar = python("-m", "sidecar", "serve", "--grpc", "off", "--http", f"127.0.0.1:{otlp}")
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}",
        "OTEL_SIDECAR_METRICS": f"127.0.0.1:{metrics}",
        "OTEL_METRIC_EXPORT_INTERVAL": "200",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    app = python("-m", "uvicorn", "examples.catvsdog.app:app", "--port", str(own), "--log-level", "warning")
    with (
        running([*sidecar, "--metrics", f"127.0.0.1:{metrics}", "--contract", CONTRACT], name="sidecar") as beside,
        running(app, name="catvsdog", env=env) as program,
    ):
        beside.wait_url(f"http://127.0.0.1:{metrics}/healthz")
        program.wait_url(f"http://127.0.0.1:{own}/health", timeout_s=90)
        yield Service(f"http://127.0.0.1:{own}", f"http://127.0.0.1:{metrics}")


def test_health_says_that_the_model_is_loaded(service: Service) -> None:
    assert json.loads(http(f"{service.url}/health").text) == {"status": "ok", "model_loaded": True, "version": "2.1.0"}


@pytest.mark.parametrize("content_type", ["image/jpeg", "image/png", "application/octet-stream"])
def test_pictures_are_classified(service: Service, content_type: str) -> None:
    """JPEG and PNG, also when the client does not say so; the answer names class, confidence and prediction."""
    right = 0
    for seed in range(500, 510):
        kind = "dog" if seed % 2 else "cat"
        upload = images.picture(kind, seed, PNG if content_type == PNG else "image/jpeg")
        reply = service.predict(Upload(upload.name, content_type, upload.body))
        answer = json.loads(reply.text)
        assert reply.status == 200
        assert set(answer) == {"class", "confidence", "prediction_id"}
        assert 0.5 <= answer["confidence"] <= 1
        right += answer["class"] == kind
    assert right >= 8


@pytest.mark.parametrize(
    ("upload", "status", "words"),
    [
        (images.broken(0), 415, "the file is sent as 'text/plain'; only image/jpeg and image/png are taken"),
        (images.broken(1), 400, "its first bytes are neither those of a JPEG nor of a PNG"),
        (images.broken(2), 400, "damaged or cut off"),
        (images.broken(3), 415, "this file is another format"),
        (images.broken(4), 400, "the file is empty"),
        (images.bomb(), 413, "too many pixels"),
        (Upload("big.jpg", "image/jpeg", bytes(20 << 20)), 413, "the upload is too large; at most 10 MiB are taken"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_wrong_input_is_refused_and_counted(service: Service, upload: Upload, status: int, words: str) -> None:
    """A 4xx with one clear sentence, and one more failed prediction in the stage it failed in."""

    def failures() -> float:
        return sum(service.samples().get("catvsdog_image_processing_errors_total", {}).values())

    before = failures()
    reply = service.predict(upload)
    assert reply.status == status
    detail = json.loads(reply.text)["detail"]
    assert words in detail
    wait_for(lambda: failures() == before + 1, f"{upload.name} counted as a failure")


def test_an_upload_that_announces_far_too_much_is_refused_before_it_comes(service: Service) -> None:
    """A gigabyte is answered while only its headers have arrived."""
    connection = HTTPConnection(service.url.removeprefix("http://"), timeout=10)
    try:
        connection.putrequest("POST", "/predict")
        connection.putheader("content-type", "multipart/form-data; boundary=edge")
        connection.putheader("content-length", str(1 << 30))
        connection.endheaders()
        assert connection.getresponse().status == 413
    finally:
        connection.close()


def test_a_form_without_a_file_is_a_422(service: Service) -> None:
    """The framework's own answer for a request that is no upload; nothing was predicted."""
    assert service.predict(images.picture("cat", 1), field="picture").status == 422
    assert http(f"{service.url}/predict", body=b"").status == 422


def test_feedback_finds_its_prediction(service: Service) -> None:
    """The id of an answer takes the truth later; an unknown one is said to be unknown."""
    answer = json.loads(service.predict(images.picture("cat", 77)).text)
    headers = {"content-type": "application/json"}

    def tell(prediction_id: str, truth: str) -> Any:
        body = json.dumps({"prediction_id": prediction_id, "truth": truth}).encode()
        return json.loads(http(f"{service.url}/feedback", body=body, headers=headers).text)

    assert tell(answer["prediction_id"], answer["class"]) == {"correct": True}
    assert tell("nonsense", "cat") == {"correct": None}


def test_the_upload_page_needs_nothing_from_outside(service: Service) -> None:
    """One file without an address of another host."""
    page = http(f"{service.url}/")
    assert page.headers["content-type"].startswith("text/html")
    assert 'type="file"' in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_the_teams_names_are_on_metrics(service: Service) -> None:
    """Every name of SERVICES.md §1 that the service makes, with exactly its labels, beside OpenTelemetry's own."""
    for seed in (500, 501, 502, 503):
        service.predict(images.picture("dog" if seed % 2 else "cat", seed))
    service.predict(images.broken(1))
    http(f"{service.url}/nowhere")
    expected = {
        "catvsdog_predictions_total": {"prediction_class"},
        "catvsdog_prediction_confidence_count": set(),
        "catvsdog_prediction_latency_seconds_count": set(),
        "catvsdog_image_processing_errors_total": set(),
        "catvsdog_active_predictions": set(),
        "catvsdog_model_info": {"version", "api_version"},
        "catvsdog_model_drift_score": set(),
        "http_requests_total": {"method", "handler", "status"},
        "http_requests_inprogress": set(),
        "http_request_duration_seconds_count": {"method", "handler"},
    }

    def all_there() -> bool:
        samples = service.samples()
        return expected.keys() <= samples.keys() and any(
            ("status", "404") in labels for labels in samples["http_requests_total"]
        )

    wait_for(all_there, "every name on /metrics")
    samples = service.samples()
    for name, labels in expected.items():
        assert all({key for key, _ in found} == labels for found in samples[name]), name
    assert {dict(labels)["prediction_class"] for labels in samples["catvsdog_predictions_total"]} == {"cat", "dog"}
    assert samples["catvsdog_model_info"] == {(("api_version", "2.1.0"), ("version", "1.4.0")): 1.0}
    assert "ml_predictions_total" in samples
    assert http(f"{service.sidecar}/metrics").status == 200


def test_a_trace_shows_the_stages(service: Service) -> None:
    """Server span, preprocess and inference of one prediction."""
    answer = json.loads(service.predict(images.picture("dog", 501)).text)
    trace_id = answer["prediction_id"].split("-")[0]

    def trace() -> Any:
        reply = http(f"{service.sidecar}/api/traces/{trace_id}")
        found = json.loads(reply.text) if reply.status == 200 else {"spans": []}
        return found if len(found["spans"]) >= 3 else None

    spans = wait_for(trace, "the trace in the ring")["spans"]
    assert [(span["name"], span["depth"]) for span in spans] == [
        ("POST /predict", 0),
        ("preprocess", 1),
        ("inference", 1),
    ]
    assert dict(spans[0]["attributes"])["ml.prediction.class"] == answer["class"]


def test_drift_rises_with_pictures_of_another_kind(service: Service) -> None:
    """The service's own gauge is low by day and rises with the night camera."""

    def score() -> float:
        return next(iter(service.samples().get("catvsdog_model_drift_score", {}).values()), 0.0)

    for seed in range(40):
        service.predict(images.picture("cat" if seed % 2 else "dog", seed))
    wait_for(lambda: score() > 0, "a drift score")
    before = score()
    for seed in range(60):
        service.predict(images.night("cat" if seed % 2 else "dog", seed))
    wait_for(lambda: score() > 2 * before, "a drift score that rose")
