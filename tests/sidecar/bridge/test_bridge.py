"""The whole bridge on what real SDKs send: one truth, in both formats, over restarts."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client.samples import Sample

from sidecar import semconv
from sidecar.batch import Accepted, Batch, Refusal, Signal
from sidecar.bridge import Bridge, BridgeSettings, Limits
from sidecar.bridge.model import Family, Kind, Series
from sidecar.bridge.state import NAME, StateError
from sidecar.contract import Label, View
from tests.support import otlp_metrics as otlp
from tests.support.prometheus import parse_openmetrics, parse_text

SECOND = 1_000_000_000
OPENMETRICS = "application/openmetrics-text"


class Worker:
    """A process with the real SDK."""

    def __init__(self, name: str) -> None:
        self.reader = InMemoryMetricReader()
        resource = Resource({"service.name": "cats", "service.instance.id": name})
        self.meter = MeterProvider([self.reader], resource=resource).get_meter("lib", "1")
        self.predictions = self.meter.create_counter(
            semconv.ML_PREDICTIONS.name, semconv.ML_PREDICTIONS.unit, semconv.ML_PREDICTIONS.brief
        )
        self.active = self.meter.create_up_down_counter(semconv.ML_PREDICTIONS_ACTIVE.name)
        self.loaded = self.meter.create_gauge(semconv.ML_MODEL_LOADED.name)
        self.duration = self.meter.create_histogram(
            semconv.ML_PREDICTION_DURATION.name, "s", explicit_bucket_boundaries_advisory=[0.1, 1.0]
        )

    def batch(self) -> Batch:
        data = self.reader.get_metrics_data()
        assert data is not None
        newest = max(
            point.time_unix_nano
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        )
        return Batch(Signal.METRICS, encode_metrics(data).SerializeToString(), 1, newest)


def batch(body: bytes, received_s: float = 10) -> Batch:
    return Batch(Signal.METRICS, body, 1, int(received_s * SECOND))


def samples(bridge: Bridge, accept: str = "") -> dict[str, float]:
    body = bridge.expose(accept).body.decode()
    families = parse_openmetrics(body) if accept else parse_text(body)
    return {
        _name(sample): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def _name(sample: Sample) -> str:
    labels = ",".join(
        f'{key}="{value}"' for key, value in sorted(sample.labels.items()) if not key.startswith("otel_scope")
    )
    return f"{sample.name}{{{labels}}}" if labels else sample.name


def test_two_workers_of_a_real_sdk_are_one_truth() -> None:
    bridge = Bridge(BridgeSettings())
    one, two = Worker("a"), Worker("b")
    one.predictions.add(3, {"class": "cat"})
    two.predictions.add(4, {"class": "cat"})
    two.predictions.add(1, {"class": "dog"})
    one.duration.record(0.05)
    two.duration.record(5.0)
    one.active.add(1)
    two.active.add(2)
    one.loaded.set(1)
    two.loaded.set(0)
    for worker in (one, two):
        assert bridge.offer(worker.batch()) == Accepted()
    found = samples(bridge)
    assert found['ml_predictions_total{class="cat"}'] == 7
    assert found['ml_predictions_total{class="dog"}'] == 1
    assert found["ml_predictions_active"] == 3
    assert found["ml_model_loaded"] == 0
    assert found['ml_prediction_duration_seconds_bucket{le="0.1"}'] == 1
    assert found['ml_prediction_duration_seconds_bucket{le="+Inf"}'] == 2
    assert found["ml_prediction_duration_seconds_sum"] == 5.05
    assert found['target_info{service_name="cats"}'] == 1
    assert found['otel_sidecar_bridge_workers{state="alive"}'] == 2
    assert found == samples(bridge, OPENMETRICS)
    assert bridge.resource() == (("service.name", "cats"),)
    one.predictions.add(1, {"class": "cat"})
    bridge.offer(one.batch())
    assert samples(bridge)['ml_predictions_total{class="cat"}'] == 8


def test_an_exemplar_of_a_real_span_is_on_its_bucket() -> None:
    bridge = Bridge(BridgeSettings())
    worker = Worker("a")
    tracer = TracerProvider().get_tracer("t")
    with tracer.start_as_current_span("x") as span:
        worker.duration.record(0.5)
    bridge.offer(worker.batch())
    context: trace.SpanContext = span.get_span_context()
    families = parse_openmetrics(bridge.expose(OPENMETRICS).body.decode())
    held = {s.labels["le"]: s.exemplar for f in families for s in f.samples if s.name.endswith("seconds_bucket")}
    assert held["0.1"] is None
    assert held["+Inf"] is None
    exemplar = held["1.0"]
    assert exemplar is not None
    assert exemplar.labels == {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }
    assert exemplar.value == 0.5


def test_the_format_is_negotiated() -> None:
    bridge = Bridge(BridgeSettings())
    assert bridge.expose().content_type == "text/plain; version=0.0.4; charset=utf-8"
    made = bridge.expose(OPENMETRICS)
    assert made.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert made.body.endswith(b"# EOF\n")


def test_views_and_merge_rules_come_from_the_settings() -> None:
    view = View(
        metric="q.depth", name="queue_depth", labels={"queue": Label(attribute="q", default="main")}, help="Waiting."
    )
    bridge = Bridge(BridgeSettings(views=(view,), merge={"q.depth": "sum"}), now_ns=lambda: 10 * SECOND)
    for worker in ("a", "b"):
        point = otlp.point(2, {"shard": worker}, time=10 * SECOND)
        bridge.offer(batch(otlp.request({"w": worker}, otlp.gauge("q.depth", point))))
    assert samples(bridge)['queue_depth{queue="main"}'] == 4
    assert b"# HELP queue_depth Waiting.\n" in bridge.expose().body


def test_an_unknown_merge_rule_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="median"):
        Bridge(BridgeSettings(merge={"x": "median"}))


def test_bytes_that_are_no_export_are_refused_and_the_bridge_goes_on() -> None:
    bridge = Bridge(BridgeSettings())
    refusal = bridge.offer(batch(b"\xff\xff"))
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.retry_after_s) == ("invalid", None)
    assert bridge.offer(batch(otlp.request({}, otlp.counter("c", otlp.point(1, time=1))))) == Accepted()


def test_a_bad_point_is_rejected_alone_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    bridge = Bridge(BridgeSettings())
    body = otlp.request({}, otlp.counter("bad", otlp.point(-1)), otlp.counter("good", otlp.point(1, time=1)))
    for _ in range(3):
        assert bridge.offer(batch(body)) == Accepted(1, "bad: a monotonic sum of -1")
    assert [record.getMessage() for record in caplog.records] == ["malformed: bad: a monotonic sum of -1"]
    assert bridge.stats().dropped["malformed"] == 3
    assert bridge.stats().points == 6
    assert samples(bridge)["good_total"] == 1


def test_what_a_scrape_leaves_out_is_a_metric_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    bridge = Bridge(BridgeSettings(views=(View(metric="c", name="v", read="count"),)))
    bridge.offer(batch(otlp.request({}, otlp.counter("c", otlp.point(1, time=1)))))
    found = [samples(bridge) for _ in range(3)][-1]
    assert found['otel_sidecar_bridge_left_out{metric="v",reason="view_not_exact"}'] == 1
    assert [record.getMessage() for record in caplog.records] == [
        "view_not_exact: v: read: count needs a histogram or summary; c is a counter"
    ]


def test_an_overflow_names_the_guilty_label(caplog: pytest.LogCaptureFixture) -> None:
    bridge = Bridge(BridgeSettings(limits=Limits(series_per_metric=3)))
    points = [otlp.point(1, {"user": str(n), "zone": "a"}, time=1) for n in range(9)]
    bridge.offer(batch(otlp.request({}, otlp.counter("c", *points))))
    bridge.expose()
    found = samples(bridge)
    assert found['c_total{otel_metric_overflow="true"}'] == 6
    assert found['otel_sidecar_bridge_overflow_label_values{label="user",metric="c"}'] == 3
    assert found['otel_sidecar_bridge_overflow_label_values{label="zone",metric="c"}'] == 1
    assert "Most values: user (3)" in caplog.text


def test_suspicious_workers_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    """A shared identity, and a fork that kept its parent's counts."""
    bridge = Bridge(BridgeSettings(), now_ns=lambda: 10 * SECOND)

    def send(identity: str, start: int, time: int, name: str = "c") -> None:
        point = otlp.point(1, start=start * SECOND, time=time * SECOND)
        bridge.offer(batch(otlp.request({"service.instance.id": identity}, otlp.counter(name, point))))

    for start, time in ((1, 5), (2, 6), (1, 7)):
        send("same", start, time)
    send("parent", 3, 9, "d")
    send("child", 3, 9, "d")
    bridge.expose()
    found = samples(bridge)
    assert found['otel_sidecar_bridge_workers{state="shared_identity"}'] == 1
    assert found['otel_sidecar_bridge_workers{state="fork_ghost"}'] == 1
    assert "shared_identity: same: several processes report under these same resource attributes" in caplog.text
    assert "fork_ghost: child: counts since the same instant as another process" in caplog.text


def test_two_services_at_one_sidecar_are_noticed(caplog: pytest.LogCaptureFixture) -> None:
    bridge = Bridge(BridgeSettings())
    for name in ("cats", "dogs"):
        bridge.offer(batch(otlp.request({"service.name": name}, otlp.counter("c", otlp.point(1, time=1)))))
    bridge.expose()
    assert "several_services: cats, dogs: several services report to this sidecar" in caplog.text
    assert bridge.resource() == ()


def test_the_sidecars_own_families_are_rendered_with_the_rest() -> None:
    bridge = Bridge(BridgeSettings())
    own = Family("own.thing", Kind.COUNTER, series=(Series((("a", "b"),), 5),))
    assert b'own_thing_total{a="b"} 5\n' in bridge.expose(own=[own]).body


def test_other_signals_pass_by() -> None:
    assert Bridge(BridgeSettings()).offer(Batch(Signal.TRACES, b"\xff", 1, 1)) == Accepted()


class TestState:
    """A restarted sidecar never shows less than was scraped."""

    def send(self, bridge: Bridge, worker: str, value: int, time: int) -> None:
        point = otlp.point(value, start=1 if worker == "a" else 2, time=time)
        bridge.offer(batch(otlp.request({"w": worker}, otlp.counter("c", point, help_="Cats."))))

    def start(self, directory: Path) -> Bridge:
        return Bridge(BridgeSettings(state_dir=directory), now_ns=lambda: 10 * SECOND)

    def test_totals_go_on_after_a_kill(self, tmp_path: Path) -> None:
        first = self.start(tmp_path)
        self.send(first, "a", 5, 10)
        self.send(first, "b", 7, 10)
        before = first.expose().body
        self.send(first, "a", 6, 20)  # never scraped
        second = self.start(tmp_path)
        assert b"c_total" in before
        assert b'c_total{otel_scope_name="test"} 12' in second.expose().body
        self.send(second, "a", 9, 30)
        assert samples(second)["c_total"] == 16
        assert b"# HELP c_total Cats.\n" in second.expose().body

    def test_close_saves_what_no_scrape_saw(self, tmp_path: Path) -> None:
        first = self.start(tmp_path)
        self.send(first, "a", 5, 10)
        first.close()
        assert samples(self.start(tmp_path))["c_total"] == 5

    def test_an_idle_scrape_writes_nothing(self, tmp_path: Path) -> None:
        bridge = self.start(tmp_path)
        self.send(bridge, "a", 5, 10)
        bridge.expose()
        written = (tmp_path / NAME).stat().st_mtime_ns
        inode = (tmp_path / NAME).stat().st_ino
        bridge.expose()
        assert ((tmp_path / NAME).stat().st_mtime_ns, (tmp_path / NAME).stat().st_ino) == (written, inode)
        assert bridge.stats().state_bytes == (tmp_path / NAME).stat().st_size

    def test_a_damaged_file_is_set_aside_with_a_clear_message(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / NAME).write_bytes(b"not a state")
        bridge = self.start(tmp_path)
        aside = next(tmp_path.glob(f"{NAME}.damaged-*"))
        assert aside.read_bytes() == b"not a state"
        assert caplog.records[0].levelno == logging.ERROR
        assert caplog.records[0].getMessage() == (
            f"state file {tmp_path / NAME} is damaged (11 bytes that do not begin like a state file): "
            f"set aside as {aside.name}, totals start from what the workers report"
        )
        self.send(bridge, "a", 5, 10)
        assert samples(bridge)["c_total"] == 5

    def test_a_save_that_fails_costs_no_scrape(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        bridge = self.start(tmp_path)
        self.send(bridge, "a", 5, 10)
        (tmp_path / f"{NAME}.tmp").mkdir()
        assert samples(bridge)["c_total"] == 5
        assert samples(bridge)["otel_sidecar_bridge_state_failures_total"] == 2
        assert len([record for record in caplog.records if "state_not_saved" in record.getMessage()]) == 1

    def test_an_unusable_directory_is_an_error_at_start(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StateError):
            self.start(tmp_path / "file")


def test_scrapes_and_batches_may_come_from_several_threads() -> None:
    bridge = Bridge(BridgeSettings())
    bodies = [
        otlp.request(
            {"w": str(w)}, otlp.counter("c", *(otlp.point(n, {"k": str(k)}, start=w + 1, time=n) for k in range(9)))
        )
        for w in range(4)
        for n in range(1, 30)
    ]
    failures: list[BaseException] = []

    def run(part: list[bytes]) -> None:
        try:
            for body in part:
                bridge.offer(batch(body))
                bridge.expose()
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(error)

    threads = [threading.Thread(target=run, args=(bodies[place::4],)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (
        sum(one.value for family in bridge.families() for one in family.series if isinstance(one.value, int))
        == 29 * 4 * 9
    )
