"""Before and after FastAPI 0.142 (telemetry of its own), and from Starlette 0.46 to 1: always one owner of HTTP."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.compat.environments import FASTAPI, ROOT, Environment, made
from tests.compat.kinds import KINDS, Kind
from tests.support.processes import clean_env

pytestmark = [pytest.mark.compat, pytest.mark.xdist_group("compat")]

MODES = ("alone", "otel-sidecar run", "opentelemetry-instrument")
# Under opentelemetry-instrument each FastAPI application has a stock middleware of its own, which measures the
# requests of a mounted one a second time: theirs, with or without us (docs/http-differences.md).
STOCK_MEASURES_TWICE = ("opentelemetry-instrument", "sub-application")
OURS = "otel-sidecar"


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[tuple[str, str], Future[dict[str, Any]]]]:
    """Every environment in every mode, three at a time: they wait as much as they work."""
    with ThreadPoolExecutor(3) as pool:
        yield {(one.name, mode): pool.submit(run, one, mode) for one in FASTAPI for mode in MODES}


def run(environment: Environment, mode: str) -> dict[str, Any]:
    """What `tests/compat/generation.py` says inside that environment."""
    programs = made(environment).bin
    path, before = [ROOT], list[Path]()
    if mode == "otel-sidecar run":
        path = [ROOT / "instrumentation" / "auto", ROOT]
    if mode == "opentelemetry-instrument":
        before = [programs / "opentelemetry-instrument"]
    none = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    done = subprocess.run(
        [*before, programs / "python", "-m", "tests.compat.generation", mode],
        env={**clean_env(), **none, "PYTHONPATH": ":".join(map(str, path))},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("environment", FASTAPI, ids=lambda one: one.name)
def test_there_is_one_server_span_and_one_set_of_metrics(
    environment: Environment, mode: str, runs: dict[tuple[str, str], Future[dict[str, Any]]]
) -> None:
    """For a request of every kind, whoever else instruments the service, before us or after."""
    found = runs[environment.name, mode].result()
    assert found["fastapi"].startswith(environment.name.removeprefix("fastapi-") + ".")
    kinds = {kind.name: kind for kind in KINDS}
    wrong = [
        f"{arrangement} | {name}: {difference}"
        for arrangement, results in found["results"].items()
        for name, result in results.items()
        for difference in differences(kinds[name], result, stock=arrangement.startswith("stock"), mode=mode)
    ]
    assert wrong == []
    if mode == "alone":
        assert set(found["results"]["ours"]) == set(kinds)


def differences(kind: Kind, result: dict[str, Any], *, stock: bool, mode: str) -> Iterator[str]:
    """Everything that is not as it must be.

    Args:
        kind: the request.
        result: what it left behind.
        stock: the stock instrumentation is there too; where it is the owner, it tells route and error in its own way.
        mode: who was at work in the process.
    """
    if result["status"] != kind.status:
        yield f"status {result['status']}"
    if len(result["servers"]) != 1 or result["traces"] != 1:
        yield f"server spans {result['servers']} in {result['traces']} traces"
    elif not stock and result["servers"][0][0] != span_name(kind):
        yield f"server span {result['servers'][0]}"
    measured = [] if kind.method == "WS" else [[kind.route, kind.error, 1]]
    if not stock and result["durations"] != measured:
        yield f"measured {result['durations']}"
    if measured and "http.server.request.duration" not in result["sets"]:
        yield "not measured"
    if result["active"]:
        yield f"still in flight {result['active']}"
    if kind.name == "in flight" and list(result["during"].values()) != [1]:
        yield f"in flight {result['during']}"
    twice = (mode, kind.name) == STOCK_MEASURES_TWICE
    yield from (f"{name} by {by}" for name, by in result["sets"].items() if not one_set(by, stock=stock, twice=twice))


def one_set(by: dict[str, int], *, stock: bool, twice: bool) -> bool:
    """Whether one owner measured one request once."""
    if by == {OURS: 1}:
        return True
    return stock and len(by) == 1 and ((twice and OURS not in by) or set(by.values()) == {1})


def span_name(kind: Kind) -> str:
    """`METHOD route`, by the semantic conventions."""
    return kind.method if kind.route is None else f"{kind.method} {kind.route}"
