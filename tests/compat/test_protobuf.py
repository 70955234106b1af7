"""The base install needs no protobuf, so it works beside the old ones that machine-learning images are bound to."""

from __future__ import annotations

import json
import zipfile
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.compat.environments import PROTOBUF, ROOT, Environment, made
from tests.integration.conftest import Sidecar, total
from tests.support.load import Load
from tests.support.processes import LOOPBACK, free_port, http, python, running, wait_for

pytestmark = [pytest.mark.compat, pytest.mark.xdist_group("compat")]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install .` puts in place: the wheel, unpacked; its dependencies are in the environments."""
    folder = tmp_path_factory.mktemp("wheel")
    build = python("-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    with running(build, name="hatchling", cwd=ROOT) as program:
        assert program.process.wait(60) == 0, program.output
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.parametrize("environment", PROTOBUF, ids=lambda one: one.name)
def test_real_traces_and_metrics_are_sent_beside_an_old_protobuf(
    environment: Environment, installed: Path, sidecar: Sidecar, tmp_path: Path
) -> None:
    """The base install and nothing of the extras: every request and prediction arrives once at a real sidecar."""
    port = free_port()
    uvicorn = made(environment).bin / "uvicorn"
    service = ["--app-dir", str(ROOT / "tests/compat/apps"), "beside_protobuf:app"]
    command: list[str | Path] = [uvicorn, *service, "--host", LOOPBACK, "--port", str(port)]
    env = {**sidecar.env, "PYTHONPATH": str(installed)}
    with running(command, name=environment.name, env=env, cwd=tmp_path) as program:
        program.wait_url(f"http://{LOOPBACK}:{port}/process")
        said = json.loads(http(f"http://{LOOPBACK}:{port}/process").body)
        assert said["protobuf"].startswith(environment.name.removeprefix("protobuf-"))
        assert Path(said["instrumentation"]).is_relative_to(installed)
        assert said["stock"] == []
        load = Load(LOOPBACK, port, "/predict/cat", requests_each=25).start()
        load.join()
        assert len(load.answers) == 100, program.output
        wait_for(lambda: sidecar.total("ml_predictions_total", ml_prediction_class="cat") == 100, "all predictions")
        program.stop()
    found = sidecar.totals()
    assert total(found, "ml_predictions_total") == 100
    assert total(found, "http_server_request_duration_seconds_count", http_route="/predict/{name}") == 100
    # One server span a request, and the two stages of each prediction.
    requests = total(found, "http_server_request_duration_seconds_count")
    late = total(found, "http_server_background_duration_seconds_count")
    assert total(found, "otel_sidecar_received_total", signal="traces") == requests + 200 + late
    assert total(found, "otel_sidecar_refused_total") == 0
    assert "Traceback" not in program.output


@pytest.mark.parametrize("environment", PROTOBUF, ids=lambda one: one.name)
def test_the_environment_is_the_base_install(environment: Environment, installed: Path) -> None:
    """What pyproject.toml asks for without extras is there in a version it allows, and no OTLP exporter is."""
    (site,) = made(environment).folder.glob("lib/python*/site-packages")
    there = {one.name.lower(): one.version for one in distributions(path=[str(site)])}
    (folder,) = installed.glob("*.dist-info")
    requires = [Requirement(text) for text in Distribution.at(folder).requires or ()]
    base = [one for one in requires if one.marker is None]
    assert {one.name: one.specifier.contains(there[one.name], prereleases=True) for one in base} == {
        one.name: True for one in base
    }
    assert [name for name in there if "otlp" in name or "grpc" in name or name == "opentelemetry-proto"] == []
