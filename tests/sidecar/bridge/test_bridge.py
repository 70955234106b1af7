"""The whole bridge on what real SDKs send: one truth, in both formats, over restarts."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import msgspec
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
from sidecar.bridge import Bridge, BridgeSettings, Limits, snapshot
from sidecar.bridge.model import Family, Kind, Series
from sidecar.bridge.snapshot import Snapshot
from sidecar.bridge.state import NAME, StateError, StateFile
from sidecar.bridge.store import Store
from sidecar.contract import Label, View
from tests.support import otlp_metrics as otlp
from tests.support.prometheus import parse_openmetrics, parse_text
from tests.support.prometheus_proto import parse_protobuf

SECOND = 1_000_000_000
OPENMETRICS = "application/openmetrics-text"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


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


def test_the_pods_overflow_names_the_metric_that_took_the_room(caplog: pytest.LogCaptureFixture) -> None:
    """And never the label of the overflow series itself."""
    bridge = Bridge(BridgeSettings(limits=Limits(series=5)))
    leak = otlp.counter("leak", *(otlp.point(1, {"user": str(n)}, time=1) for n in range(5)))
    cut = otlp.counter("cut", *(otlp.point(1, {"class": str(n)}, time=1) for n in range(3)))
    bridge.offer(batch(otlp.request({}, leak, cut)))
    bridge.expose()
    found = samples(bridge)
    assert found['cut_total{otel_metric_overflow="true"}'] == 3
    assert found['otel_sidecar_bridge_overflow_label_values{label="user",metric="leak"}'] == 5
    assert not [name for name in found if 'label="otel' in name]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        "overflow: cut: the pod has 6 series, 5 of them leak; "
        'the rest of cut is in otel_metric_overflow="true". Most values: user (5)'
    )


def test_a_view_that_never_shows_anything_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A misspelt metric was silent for ever."""
    now = [10 * SECOND]
    views = (View(metric="ml.prediction", name="typo_total"), View(metric="ml.predictions", name="fine_total"))
    bridge = Bridge(BridgeSettings(views=views), now_ns=lambda: now[0])
    bridge.offer(batch(otlp.request({}, otlp.counter("ml.predictions", otlp.point(1, time=1)))))
    assert not [name for name in samples(bridge) if "left_out{" in name]
    now[0] += 130 * SECOND
    found = [samples(bridge) for _ in range(3)][-1]
    assert found['otel_sidecar_bridge_left_out{metric="typo_total",reason="no_data"}'] == 1
    assert [record.getMessage() for record in caplog.records] == [
        "no_data: typo_total: no metric ml.prediction has come so far; the nearest that has come is ml.predictions"
    ]


def test_suspicious_workers_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    """A shared identity, and a fork that kept its parent's counts."""
    bridge = Bridge(BridgeSettings(), now_ns=lambda: 10 * SECOND)

    def send(identity: str, start: int, time: int, name: str = "c") -> None:
        point = otlp.point(1, start=start * SECOND, time=time * SECOND)
        resource = {"service.name": "cats", "service.instance.id": identity}
        bridge.offer(batch(otlp.request(resource, otlp.counter(name, point))))

    for start, time in ((1, 5), (2, 6), (1, 7)):
        send("same", start, time)
    for process in ("parent", "child", "second child"):
        send(process, 3, 9, "d")
    bridge.expose()
    found = samples(bridge)
    assert found['otel_sidecar_bridge_workers{state="shared_identity"}'] == 1
    assert found['otel_sidecar_bridge_workers{state="fork_ghost"}'] == 2
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" (")[0] for line in lines if line.startswith("shared_identity")] == [
        "shared_identity: cats: several processes report under one identity"
    ]
    assert [line.partition(": its SDK")[0] for line in lines if line.startswith("fork_ghost")] == [
        "fork_ghost: cats: service.instance.id 'child' counts since the same instant as another process"
    ]


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


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (["lag_seconds"], {"lag_seconds"}),
        (["lag_seconds_bucket"], {"lag_seconds"}),
        (["lag_seconds_count", "c_total"], {"lag_seconds", "c_total"}),
        (["c"], {"c_total"}),
        (["c_created"], {"c_total"}),
        (["target"], {"target_info"}),
        (["target_info"], {"target_info"}),
        (["lag"], set()),
        (["otel_sidecar_bridge_streams"], {"otel_sidecar_bridge_streams"}),
    ],
)
def test_name_asks_for_whole_metrics(asked: list[str], shown: set[str]) -> None:
    """By the family's name or that of any sample, in whatever format."""
    bridge = Bridge(BridgeSettings())
    metrics = (
        otlp.counter("c", otlp.point(1, time=1)),
        otlp.histogram("lag", otlp.histogram_point([1], [1, 1]), unit="s"),
    )
    bridge.offer(batch(otlp.request({"service.name": "x"}, *metrics)))
    for accept in ("", OPENMETRICS, PROTOBUF):
        whole, part = (bridge.expose(accept, names=names).body for names in ((), asked))
        if accept == PROTOBUF:
            assert {family.name for family in parse_protobuf(part)} == shown
        else:
            found = {line.split()[2] for line in part.decode().splitlines() if line.startswith("# TYPE")}
            assert {name.removesuffix("_total").removesuffix("_info") for name in found} == {
                name.removesuffix("_total").removesuffix("_info") for name in shown
            }
            if not accept:
                assert part in whole or len(shown) > 1


def test_utf8_names_for_who_asks_and_the_same_values_for_who_does_not() -> None:
    bridge = Bridge(
        BridgeSettings(
            translation="NoUTF8EscapingWithSuffixes", views=(View(metric="http.duration", name="old_seconds"),)
        )
    )
    point = otlp.histogram_point([1.0], [1, 2], 4.5, {"http.route": "/x"})
    bridge.offer(batch(otlp.request({"service.name": "cats"}, otlp.histogram("http.duration", point, unit="s"))))
    for accept in (f"{OPENMETRICS};version=1.0.0", "text/plain;version=1.0.0"):
        body = bridge.expose(f"{accept};escaping=allow-utf-8").body.decode()
        assert '{"http.duration_seconds_bucket","http.route"="/x",otel_scope_name="test",le="1.0"} 1\n' in body
        assert 'old_seconds_bucket{"http.route"="/x",le="1.0"} 1\n' in body
        assert 'target_info{"service.name"="cats"} 1\n' in body
        body = bridge.expose(accept).body.decode()
        assert 'http_duration_seconds_bucket{http_route="/x",otel_scope_name="test",le="1.0"} 1\n' in body
    families = parse_protobuf(bridge.expose(f"{PROTOBUF};escaping=allow-utf-8").body)
    assert "http.duration_seconds" in [family.name for family in families]
    assert "http_duration_seconds" in [family.name for family in parse_protobuf(bridge.expose(PROTOBUF).body)]
    escaped = bridge.expose("text/plain;escaping=values").body.decode()
    assert "# TYPE U__http_2e_duration__seconds histogram\n" in escaped


def test_every_scraper_sees_the_same_names_by_default() -> None:
    """Dashboards must not break when Prometheus 3, which asks for UTF-8 by itself, takes the place of 2."""
    bridge = Bridge(BridgeSettings())
    bridge.offer(batch(otlp.request({}, otlp.counter("a.b", otlp.point(1, {"c.d": "e"}, time=1)))))
    bodies = {
        bridge.expose(f"text/plain{escaping}").body for escaping in ("", ";escaping=allow-utf-8", ";escaping=values")
    }
    assert len(bodies) == 1


def test_an_unknown_translation_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="Latin"):
        Bridge(BridgeSettings(translation="Latin"))


@pytest.mark.parametrize("accept", ["text/plain", OPENMETRICS, PROTOBUF])
def test_a_metric_that_cannot_be_rendered_costs_itself_alone(accept: str, caplog: pytest.LogCaptureFixture) -> None:
    bridge = Bridge(BridgeSettings())
    bridge.offer(batch(otlp.request({}, otlp.counter("good", otlp.point(1, time=1)))))
    bad = Family("bad", Kind.HISTOGRAM, series=(Series((), None),))  # type: ignore[arg-type] # the bug that is played
    bodies = [bridge.expose(accept, [bad]).body for _ in range(2)]
    assert all(b"good" in body and b"# TYPE bad" not in body for body in bodies)
    assert [one for one in caplog.messages if one.startswith("unrenderable: bad: TypeError")] == caplog.messages
    assert len(caplog.messages) == 1
    assert bridge.stats().left_out == (("unrenderable", "bad"),)


def test_other_signals_pass_by() -> None:
    assert Bridge(BridgeSettings()).offer(Batch(Signal.TRACES, b"\xff", 1, 1)) == Accepted()


class TestState:
    """A restarted sidecar never shows less than was scraped."""

    def send(self, bridge: Bridge, worker: str, value: int, time: int) -> None:
        point = otlp.point(value, start=1 if worker == "a" else 2, time=time)
        bridge.offer(batch(otlp.request({"w": worker}, otlp.counter("c", point, help_="Cats."))))

    def start(self, directory: Path) -> Bridge:
        return Bridge(BridgeSettings(state_dir=directory), now_ns=lambda: 10 * SECOND)

    def kill(self, bridge: Bridge) -> None:
        """As the operating system does: the directory is free, nothing is saved."""
        assert bridge._state
        bridge._state.close()

    def test_a_directory_has_one_sidecar(self, tmp_path: Path) -> None:
        """Two would each throw the other's totals away with every save."""
        first = self.start(tmp_path)
        with pytest.raises(StateError, match=f"{tmp_path} is in use by another sidecar"):
            self.start(tmp_path)
        first.close()
        self.start(tmp_path)

    def test_totals_go_on_after_a_kill(self, tmp_path: Path) -> None:
        first = self.start(tmp_path)
        self.send(first, "a", 5, 10)
        self.send(first, "b", 7, 10)
        before = first.expose().body
        self.send(first, "a", 6, 20)  # never scraped
        self.kill(first)
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

    def test_a_slow_disk_never_holds_up_the_receivers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """While one scrape waits for the disk, batches are taken; what it shows is what it has saved."""
        bridge = self.start(tmp_path)
        self.send(bridge, "a", 5, 10)
        writing, go_on = threading.Event(), threading.Event()
        save = StateFile.save

        def slow(file: StateFile, taken: Snapshot) -> int:
            writing.set()
            assert go_on.wait(10)
            return save(file, taken)

        monkeypatch.setattr(StateFile, "save", slow)
        answers: list[bytes] = []
        scrape = threading.Thread(target=lambda: answers.append(bridge.expose().body))
        scrape.start()
        assert writing.wait(10)
        self.send(bridge, "b", 7, 10)  # would hang here under the lock
        go_on.set()
        scrape.join()
        assert b'c_total{otel_scope_name="test"} 5' in answers[0]
        monkeypatch.setattr(StateFile, "save", save)
        self.kill(bridge)
        assert samples(self.start(tmp_path))["c_total"] == 5
        assert samples(bridge)["c_total"] == 12
        assert samples(self.start(tmp_path))["c_total"] == 12

    def test_an_older_snapshot_never_replaces_a_newer_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of two scrapes at once the later writes first: the file still holds what both have shown."""
        bridge = self.start(tmp_path)
        self.send(bridge, "a", 5, 10)
        took, go_on = threading.Event(), threading.Event()
        take = snapshot.take

        def slow(store: Store) -> Snapshot:
            taken = take(store)
            if not took.is_set():
                took.set()
            return taken

        class Late:
            """The lock around writing, which the first scrape reaches last."""

            def __init__(self) -> None:
                self.lock = threading.Lock()

            def __enter__(self) -> None:
                if threading.current_thread() is not threading.main_thread():
                    assert go_on.wait(10)
                self.lock.acquire()

            def __exit__(self, *_: object) -> None:
                self.lock.release()

        monkeypatch.setattr(snapshot, "take", slow)
        monkeypatch.setattr(bridge, "_saving", Late())
        scrape = threading.Thread(target=bridge.expose)
        scrape.start()
        assert took.wait(10)
        self.send(bridge, "b", 7, 10)
        assert samples(bridge)["c_total"] == 12
        go_on.set()
        scrape.join()
        self.kill(bridge)
        assert samples(self.start(tmp_path))["c_total"] == 12

    def test_rounding_never_makes_a_total_fall_over_a_restart(self, tmp_path: Path) -> None:
        """Floats added up in another order come out lower by a bit, which Prometheus takes for a restart."""
        shares = [0.1, 0.2, 0.3]
        first = self.start(tmp_path)
        for worker, share in enumerate(shares):
            point = otlp.point(share, start=1 + worker, time=10)
            first.offer(batch(otlp.request({"w": str(worker)}, otlp.counter("c", point))))
        before = samples(first)["c_total"]
        self.kill(first)
        state = StateFile(tmp_path)
        saved = state.load()
        assert saved is not None
        state.save(msgspec.structs.replace(saved, workers=tuple(reversed(saved.workers))))
        state.close()
        assert samples(self.start(tmp_path))["c_total"] == before == 0.1 + 0.2 + 0.3 > 0.3 + 0.2 + 0.1

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


def test_a_request_of_too_many_points_is_refused_before_it_is_decoded() -> None:
    bridge = Bridge(BridgeSettings(limits=Limits(request_points=10)))
    assert bridge.offer(Batch(Signal.METRICS, b"never looked at", 11, 0)) == Refusal(
        "too_large", "11 data points in one request, 10 at most; send fewer at a time"
    )
    assert bridge.stats().points == 0


def test_what_was_missed_because_memory_was_short_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    now = [10 * SECOND]
    bridge = Bridge(BridgeSettings(limits=Limits(dead_workers=0, tombstone_bytes=0)), now_ns=lambda: now[0])
    for at in (10, 1_000, 1_005):
        now[0] = at * SECOND
        body = otlp.request({"service.instance.id": "a"}, otlp.counter("c", otlp.point(at, start=1, time=now[0])))
        bridge.expose()
        bridge.offer(Batch(Signal.METRICS, body, 1, now[0]))
        bridge.expose()
    assert bridge.stats().adopted == 1
    (said,) = [record.message for record in caplog.records if "counts_missed" in record.message]
    assert said.startswith("counts_missed: (no name): service.instance.id 'a' came back long after")
    assert said.endswith("1 series lack what they counted meanwhile")
