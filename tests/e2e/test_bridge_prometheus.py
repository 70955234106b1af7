"""Real Prometheus servers judge the bridge: one sidecar, scraped in every format, gives the same numbers."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from sidecar import semconv
from tests.e2e.addresses import free_addresses
from tests.e2e.every_kind import DURATIONS, Worker
from tests.e2e.services import Sidecar, sidecar
from tests.support import otlp_metrics as otlp
from tests.support.processes import http, running, wait_for
from tools import parts

pytestmark = pytest.mark.e2e

Labels = tuple[tuple[str, str], ...]
#: What only this sidecar's own state says differs from scrape to scrape; the rest is Prometheus' own of each scrape.
SERVICE = '__name__!~"otel_sidecar.*|.*_created|up|scrape_.*"'
EXPONENTIAL = "inference_duration_seconds"
JOBS = {
    "text": ("PrometheusText0.0.4", False),
    "openmetrics": ("OpenMetricsText1.0.0", False),
    "protobuf": ("PrometheusProto", False),
    "native": ("PrometheusProto", True),
}
DEBIAN = "2.42"


@dataclass(frozen=True)
class Server:
    """A running Prometheus and its query API."""

    address: str

    def query(self, expression: str, job: str = "") -> dict[Labels, Any]:
        """The value of each label set, without its job: a number as text, or a native histogram's JSON."""
        asked = expression.replace("JOB", f'job="{job}"')
        return {_key(row["metric"]): _value(row) for row in self._get("query", query=asked)["result"]}

    def exemplars(self, expression: str) -> list[Mapping[str, Any]]:
        now = time.time()
        found = self._get("query_exemplars", query=expression, start=str(now - 3600), end=str(now + 60))
        return [exemplar for series in found for exemplar in series["exemplars"]]

    def scraped(self, jobs: Sequence[str]) -> bool:
        """Whether each job has been scraped without an error, twice."""
        targets = {one["labels"]["job"]: one for one in self._get("targets", state="active")["activeTargets"]}
        for job in jobs:
            assert job in targets, f"{job} is not discovered yet"
            assert targets[job]["health"] == "up", f"{job}: {targets[job]['health']} {targets[job]['lastError']}"
            assert float(self.query(f'count_over_time(up{{job="{job}"}}[1m])').popitem()[1]) >= 2
        return True

    def _get(self, path: str, **query: str) -> Any:
        reply = http(f"http://{self.address}/api/v1/{path}?{urlencode(query)}")
        assert reply.status == 200, f"{path} {query}: {reply.text}"
        return json.loads(reply.body)["data"]


def _key(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted((key, value) for key, value in labels.items() if key != "job"))


def _value(row: Mapping[str, Any]) -> Any:
    return row["value"][1] if "value" in row else row["histogram"][1]


@contextmanager
def server(binary: Path, folder: Path, jobs: Sequence[Mapping[str, Any]], *options: str) -> Iterator[Server]:
    """Runs a Prometheus that scrapes every second. JSON is YAML."""
    config = folder / "prometheus.yaml"
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    address = free_addresses("web")["web"]
    command: list[str | Path] = [binary, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    with running([*command, f"--web.listen-address={address}", *options], name=f"prometheus {folder.name}") as program:
        program.wait_url(f"http://{address}/-/ready")
        found = Server(address)
        wait_for(lambda: found.scraped([job["job_name"] for job in jobs]), "two scrapes of each job", 40, 0.2)
        yield found


def job(name: str, target: str, **settings: object) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": [target], "labels": {"instance": "pod"}}], **settings}


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """A sidecar to which two processes have reported every kind of metric, once."""
    with sidecar("--state", tmp_path_factory.mktemp("pod")) as beside:
        for name in ("a", "b"):
            worker = Worker(name)
            worker.work()
            worker.send(beside.http)
        yield beside


@pytest.fixture(scope="module")
def prometheus_3(pod: Sidecar, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Prometheus 3 that scrapes the pod once per format."""
    jobs = [
        job(name, pod.metrics, scrape_protocols=[protocol], scrape_native_histograms=native)
        for name, (protocol, native) in JOBS.items()
    ]
    folder = tmp_path_factory.mktemp("three")
    with server(parts.binary("prometheus"), folder, jobs, "--enable-feature=exemplar-storage") as found:
        yield found


def test_every_format_gives_the_same_samples(prometheus_3: Server) -> None:
    """Text, OpenMetrics, protobuf with classic buckets: the same series with the same values, none more, none less."""
    text, openmetrics, protobuf = (
        prometheus_3.query(f"{{JOB, {SERVICE}}}", name) for name in ("text", "openmetrics", "protobuf")
    )
    assert text == openmetrics
    assert text == protobuf
    assert len(text) > 50
    assert {dict(key)["__name__"] for key in text} >= {
        "predictions_total",
        "predictions_active",
        "received_bytes_total",
        "temperature_celsius",
        "queue_duration_seconds_bucket",
        f"{EXPONENTIAL}_bucket",
        "target_info",
    }


def test_native_histograms_take_the_place_of_classic_ones(prometheus_3: Server) -> None:
    """All else is equal, and the native histogram's count and sum are the classic ones'."""
    text, native = (prometheus_3.query(f"{{JOB, {SERVICE}}}", name) for name in ("text", "native"))
    ours = {key: value for key, value in text.items() if not dict(key)["__name__"].startswith(EXPONENTIAL)}
    assert {key: value for key, value in native.items() if isinstance(value, str)} == ours
    assert {dict(key)["__name__"] for key, value in native.items() if not isinstance(value, str)} == {EXPONENTIAL}
    for function, ending in (("histogram_count", "count"), ("histogram_sum", "sum")):
        found = prometheus_3.query(f"{function}({EXPONENTIAL}{{JOB}})", "native")
        assert found == _unnamed(prometheus_3.query(f"{EXPONENTIAL}_{ending}{{JOB}}", "text"))


def test_native_histograms_know_their_quantiles(prometheus_3: Server) -> None:
    """Within a bucket's width, as finely as the SDK measured; classic buckets at powers of two are far coarser."""
    expected = sorted(DURATIONS)
    for quantile in (0.1, 0.5, 0.9, 0.99):
        (found,) = prometheus_3.query(f"histogram_quantile({quantile}, sum({EXPONENTIAL}{{JOB}}))", "native").values()
        exact = expected[math.ceil(quantile * len(expected)) - 1]
        assert float(found) == pytest.approx(exact, rel=0.08)
    (low,) = prometheus_3.query(f"histogram_fraction(0, 0.1, sum({EXPONENTIAL}{{JOB}}))", "native").values()
    assert float(low) == pytest.approx(sum(one <= 0.1 for one in DURATIONS) / len(DURATIONS), abs=0.01)


@pytest.mark.parametrize(
    ("job_name", "metric"),
    [
        ("openmetrics", "queue_duration_seconds_bucket"),
        ("openmetrics", f"{EXPONENTIAL}_bucket"),
        ("openmetrics", "predictions_total"),
        ("protobuf", "queue_duration_seconds_bucket"),
        ("protobuf", "predictions_total"),
        ("native", EXPONENTIAL),
    ],
)
def test_exemplars_are_there_when_asked_for(prometheus_3: Server, job_name: str, metric: str) -> None:
    found = prometheus_3.exemplars(f'{metric}{{job="{job_name}"}}')
    assert found
    for exemplar in found:
        assert len(exemplar["labels"]["trace_id"]) == 32
        assert len(exemplar["labels"]["span_id"]) == 16
        assert exemplar["timestamp"] > time.time() - 3600


def test_promtool_has_nothing_to_say(pod: Sidecar) -> None:
    """Of the services' metrics by their canonical names, of every metric of the registry and of the sidecar's own."""
    with sidecar() as beside:
        reply = http(
            f"http://{beside.http}/v1/metrics",
            body=otlp.request({"service.name": "all"}, *map(_registered, semconv.METRICS)),
            headers={"content-type": "application/x-protobuf"},
        )
        assert (reply.status, reply.body) == (200, b"")
        registry = http(f"http://{beside.metrics}/metrics").body
    assert _lint(http(f"http://{pod.metrics}/metrics").body) == []
    # OpenTelemetry's conventions have names that end in `.count`, which promtool would leave to histograms.
    counts = {metric.name.replace(".", "_") for metric in semconv.METRICS if metric.name.endswith(".count")}
    assert {line.partition(" ")[0] for line in _lint(registry)} == counts
    assert all('should not have "_count" suffix' in line for line in _lint(registry))


def _registered(metric: semconv.Metric) -> pb.Metric:
    now = time.time_ns()
    if metric.instrument == "histogram":
        point = otlp.histogram_point([1.0], [1, 1], 2.5, start=now, time=now)
        return otlp.histogram(metric.name, point, unit=metric.unit, help_=metric.brief)
    made = otlp.counter(metric.name, otlp.point(1, start=now, time=now), unit=metric.unit, help_=metric.brief)
    if metric.instrument == "gauge":
        made.gauge.data_points.extend(made.sum.data_points)
    else:
        made.sum.is_monotonic = metric.instrument == "counter"
    return made


def _lint(body: bytes) -> list[str]:
    done = subprocess.run([parts.binary("promtool"), "check", "metrics"], input=body, capture_output=True, check=False)
    assert done.stdout == b""
    assert done.returncode in (0, 3), done.stderr.decode()
    return done.stderr.decode().splitlines()


def test_prometheus_3_takes_utf8_names(tmp_path: Path) -> None:
    """By the contract's `translation`, where it asks for them; with underscores where it does not."""
    contract = tmp_path / "observability.yaml"
    contract.write_text("translation: NoUTF8EscapingWithSuffixes\n")
    with sidecar("--contract", contract) as beside:
        worker = Worker("a")
        worker.work()
        worker.send(beside.http)
        jobs = [
            job("openmetrics", beside.metrics, scrape_protocols=["OpenMetricsText1.0.0"]),
            job("text", beside.metrics, scrape_protocols=["PrometheusText1.0.0"]),
            job("old", beside.metrics, scrape_protocols=["PrometheusText0.0.4"]),
        ]
        with server(parts.binary("prometheus"), tmp_path, jobs) as found:
            new, newer = (found.query(f"{{JOB, {SERVICE}}}", name) for name in ("text", "openmetrics"))
            assert new == newer
            assert {dict(key)["__name__"] for key in new} >= {"inference.duration_seconds_count", "predictions.active"}
            (count,) = found.query('{JOB, __name__="queue.duration_seconds_count", "http.route"="/0"}', "text").values()
            assert count == str(len(DURATIONS) // 2)
            old = found.query('queue_duration_seconds_count{JOB, http_route="/0"}', "old")
            assert list(old.values()) == [count]


@pytest.fixture(scope="module")
def debian() -> Path:
    """Prometheus 2.42 of Debian 12: on the PATH, in the parts' cache, or fetched with apt-get."""
    installed = shutil.which("prometheus")
    if installed and DEBIAN in _version(installed):
        return Path(installed)
    folder = parts.cache_folder() / f"debian-prometheus-{DEBIAN}"
    binary = folder / "usr" / "bin" / "prometheus"
    if not binary.exists():
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            pytest.skip("no apt-get here to fetch Debian's Prometheus 2.42")
        folder.mkdir(parents=True, exist_ok=True)
        fetched = subprocess.run(["apt-get", "download", "prometheus"], cwd=folder, capture_output=True, check=False)
        packages = list(folder.glob("prometheus_2.42*.deb"))
        if fetched.returncode or not packages:
            pytest.skip(f"apt-get has no Prometheus {DEBIAN}: {fetched.stderr.decode()[-200:]}")
        subprocess.run(["dpkg-deb", "-x", packages[0], folder], check=True)
    return binary


def _version(binary: str | Path) -> str:
    return subprocess.run([binary, "--version"], capture_output=True, check=False, text=True).stdout.partition("\n")[0]


def test_an_old_prometheus_gets_the_same(
    pod: Sidecar, prometheus_3: Server, debian: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """2.42 takes OpenMetrics, and protobuf when it is told to store native histograms."""
    assert DEBIAN in _version(debian)
    now = prometheus_3.query(f"{{JOB, {SERVICE}}}", "text")
    with server(debian, tmp_path_factory.mktemp("two"), [job("openmetrics", pod.metrics)]) as found:
        assert found.query(f"{{JOB, {SERVICE}}}", "openmetrics") == now
    native = tmp_path_factory.mktemp("two-native")
    with server(debian, native, [job("native", pod.metrics)], "--enable-feature=native-histograms") as found:
        (count,) = found.query(f"histogram_count(sum({EXPONENTIAL}{{JOB}}))", "native").values()
        assert float(count) == 2 * len(DURATIONS)
        plain = 'predictions_total{JOB, class="cat"}'
        assert found.query(plain, "native") == prometheus_3.query(plain, "text")


def _unnamed(found: Mapping[Labels, Any]) -> dict[Labels, Any]:
    return {tuple(pair for pair in key if pair[0] != "__name__"): value for key, value in found.items()}
