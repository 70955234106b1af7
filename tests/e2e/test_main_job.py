"""The main job on the real parts: images in, traces in Jaeger through the gateway, right metrics in Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.collector import Collector
from tests.e2e.jaeger import Jaeger, Trace
from tests.e2e.prometheus import Prometheus, prometheus
from tests.e2e.services import BROKEN, CONTRACT, Sent, Sidecar, catvsdog, pictures, predict, sidecar
from tests.support.processes import wait_for

pytestmark = pytest.mark.e2e
SERVICE = "catvsdog-e2e"
GOOD, BAD = 60, 6


@dataclass(frozen=True)
class Story:
    """One run of the main job: what was sent, and the programs that saw it, still running."""

    sent: Sent
    began_s: float
    sidecar: Sidecar
    prometheus: Prometheus


@pytest.fixture(scope="module")
def story(gateway: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The example with two workers, its sidecar forwarding to the gateway, Prometheus scraping both; images posted."""
    began = time.time()
    folder = tmp_path_factory.mktemp("main-job")
    forward = ("--forward", f"http://{gateway.http}", "--contract", CONTRACT, "--state", folder / "state")
    with (
        sidecar(*forward) as beside,
        prometheus(folder, sidecar=beside.metrics, gateway=gateway.metrics) as metrics,
        catvsdog(beside, SERVICE) as address,
    ):
        sent = predict(address, [*pictures(GOOD), *[BROKEN] * BAD])
        yield Story(sent, began, beside, metrics)


@pytest.fixture(scope="module")
def traces(story: Story, tracing: Jaeger) -> list[Trace]:
    """All traces of the service in Jaeger that are predictions."""

    def whole() -> list[Trace]:
        found = [trace for trace in tracing.traces(SERVICE) if trace.root.name == "POST /predict"]
        assert len(found) >= GOOD + BAD, f"{len(found)} predictions in Jaeger so far"
        return found

    return wait_for(whole, "all predictions in Jaeger", timeout_s=30, every_s=0.2)


def test_the_client_got_its_answers(story: Story) -> None:
    """The service works: every image is classified, every broken upload is a client error."""
    assert len(story.sent.good) == GOOD
    assert set(story.sent.classes) == {"cat", "dog"}
    assert all(400 <= int(status) < 500 for status in story.sent.statuses if status != "200")


def test_one_trace_per_request(traces: list[Trace]) -> None:
    """No request is missing, none is there twice, and both workers' are there."""
    assert len(traces) == GOOD + BAD
    assert len({trace.root.process["process.pid"] for trace in traces}) == 2


def test_a_prediction_reads_as_server_then_preprocess_then_inference(traces: list[Trace]) -> None:
    """The server span is the root and tells the prediction; the stages are below it, one after the other."""
    good = [trace for trace in traces if trace.root.tags["http.response.status_code"] == 200]
    assert len(good) == GOOD
    for trace in good:
        assert trace.root.kind == "server"
        preprocess, inference = trace.named("preprocess"), trace.named("inference")
        assert trace.ancestors(preprocess) == ["POST /predict"]
        assert trace.ancestors(inference) == ["POST /predict"]
        # Jaeger rounds start and duration to microseconds apart.
        assert trace.root.start_us <= preprocess.start_us
        assert preprocess.end_us <= inference.start_us + 2
        assert inference.end_us <= trace.root.end_us + 2
        assert not any(span.failed for span in trace.spans)
        assert trace.root.tags["ml.model.name"] == "catvsdog"
        assert trace.root.tags["ml.prediction.outcome"] == "success"


def test_a_trace_is_found_by_its_answer(story: Story, traces: list[Trace]) -> None:
    """The prediction id that the client was given is on the trace, with the class it was told."""
    told = {answer["prediction_id"]: answer["class"] for answer in story.sent.good}
    roots = [trace.root.tags for trace in traces]
    assert {t["ml.prediction.id"]: t["ml.prediction.class"] for t in roots if "ml.prediction.class" in t} == told


def test_every_span_carries_the_service(traces: list[Trace]) -> None:
    """The name that the environment gave, and the route as the conventions have it."""
    assert {span.service for trace in traces for span in trace.spans} == {SERVICE}
    assert {trace.root.tags["http.route"] for trace in traces} == {"/predict"}
    assert {trace.root.tags["http.request.method"] for trace in traces} == {"POST"}


def test_a_broken_upload_fails_where_it_failed(traces: list[Trace]) -> None:
    """The stage is an error, with the exception; the server span of a 4xx is none (HTTP semantic conventions)."""
    bad = [trace for trace in traces if trace.root.tags["http.response.status_code"] != 200]
    assert len(bad) == BAD
    for trace in bad:
        preprocess = trace.named("preprocess")
        assert preprocess.failed
        assert preprocess.tags["error.type"]
        assert any(log.get("event") == "exception" for log in preprocess.logs)
        assert "inference" not in [span.name for span in trace.spans]
        assert not trace.root.failed
        assert trace.root.tags["ml.prediction.outcome"] == "error"


def test_prometheus_counts_what_was_sent(story: Story) -> None:
    """Two workers, one truth: by the names of the team's dashboards and by the canonical ones."""
    metrics = story.prometheus
    predict_requests = '{http_route="/predict"}'
    metrics.wait_value(f"sum(http_server_request_duration_seconds_count{predict_requests})", GOOD + BAD)
    assert metrics.by("prediction_class", "catvsdog_predictions_total") == dict(story.sent.classes)
    assert metrics.by("status", 'http_requests_total{handler="/predict"}') == dict(story.sent.statuses)
    assert metrics.value("sum(catvsdog_image_processing_errors_total)") == BAD
    assert metrics.value("sum(catvsdog_prediction_confidence_count)") == GOOD
    assert metrics.value("sum(catvsdog_active_predictions)") == 0
    outcomes = metrics.by("ml_prediction_outcome", "ml_predictions_total")
    assert outcomes == {"success": GOOD, "error": BAD}


def test_there_is_one_target_info_for_the_pod(story: Story) -> None:
    """Workers are not instances: the pod has one identity, whatever the number of processes."""
    story.prometheus.wait_up("otel-sidecar")
    story.prometheus.wait_value(f'count(target_info{{job="otel-sidecar", service_name="{SERVICE}"}})', 1)


def test_every_exemplar_opens_in_jaeger(story: Story, tracing: Jaeger, traces: list[Trace]) -> None:
    """From a bucket of the latency histogram to the trace of one request in it."""
    known = {trace.trace_id for trace in traces}

    def stored() -> list[str]:
        found = story.prometheus.exemplars(
            "catvsdog_prediction_latency_seconds_bucket", story.began_s, time.time() + 60
        )
        return [exemplar["labels"]["trace_id"] for exemplar in found]

    for trace_id in set(wait_for(stored, "exemplars in Prometheus", timeout_s=40, every_s=0.2)):
        assert trace_id in known
        assert tracing.trace(trace_id).root.name == "POST /predict"


def test_the_ledger_says_that_all_was_forwarded(story: Story, traces: list[Trace]) -> None:
    """Nothing queued, nothing dropped; the spans of the predictions are among those forwarded."""
    wait_for(lambda: story.sidecar.account("traces")["queued"] == 0, "the sidecar's queue to be empty")
    account = story.sidecar.account("traces")
    assert (account["dropped"], account["missing"]) == ({}, 0)
    assert account["received"] == account["forwarded"] >= sum(len(trace.spans) for trace in traces)


def test_the_gateway_is_scraped(story: Story) -> None:
    """The second job of the shipped configuration works, and shows nothing lost."""
    story.prometheus.wait_up("otel-gateway")

    def counted() -> bool:
        return story.prometheus.value("sum(otelcol_receiver_accepted_spans)") > 0

    wait_for(counted, "the gateway's own metrics in Prometheus", timeout_s=40, every_s=0.2)
    assert story.prometheus.query("otelcol_exporter_send_failed_spans > 0") == {}
