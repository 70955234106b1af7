"""What `tools.parts` promises without a real Go: one build, nothing half-built, errors that say what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tools import parts

PART = parts.Part("thing", "A thing", "1.2.3", ("example.test/thing@v1.2.3",), {"thing": "example.test/thing"})
# Writes what `-o` names; every build is one line in the file of the tests.
GO = """#!/bin/sh
echo "$*" >> "$CALLS"
[ "$1" = build ] || exit 0
sleep "${GO_SLEEPS:-0}"
[ -z "$GO_FAILS" ] || { echo "thing.go:1: undefined: everything"; exit 1; }
while [ "$1" != -o ]; do shift; done
echo built > "$2"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own and a stand-in for `go`; returns the file with its calls."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "go").write_text(GO)
    (tools / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("GO_SLEEPS", "0")
    monkeypatch.setenv("GO_FAILS", "")
    return tmp_path / "calls"


def _builds(calls: Path) -> int:
    return sum(line.startswith("build ") for line in calls.read_text().splitlines())


def test_a_part_is_built_once(calls: Path) -> None:
    """The second call finds the first one's result."""
    folder = parts.built(PART)
    assert (folder / "thing").read_text() == "built\n"
    assert parts.built(PART) == folder
    assert _builds(calls) == 1
    assert [path.name for path in parts.cache_folder().iterdir() if path.is_dir()] == [PART.key]


def test_two_runs_at_once_build_once(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second process waits for the first one's lock and then finds the result."""
    monkeypatch.setenv("GO_SLEEPS", "0.5")
    code = "from tests.tools.test_parts import PART; from tools import parts; print(parts.built(PART))"
    runs = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    outputs = [run.communicate()[0].decode().splitlines()[-1] for run in runs]
    assert outputs == [str(parts.cache_folder() / PART.key)] * 2
    assert _builds(calls) == 1


def test_a_failed_build_leaves_its_log_and_no_part(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the part, the step and the compiler's words; the next call tries again."""
    monkeypatch.setenv("GO_FAILS", "yes")
    with pytest.raises(
        parts.PartsError, match=r"(?s)^A thing: building thing failed \(exit status 1\).*undefined.*failed\.log$"
    ):
        parts.built(PART)
    kept = [path.name for path in parts.cache_folder().iterdir()]
    assert sorted(kept) == sorted([f"{PART.key}.failed.log", "thing.lock"])
    monkeypatch.setenv("GO_FAILS", "")
    assert (parts.built(PART) / "thing").exists()


def test_what_an_interrupted_build_left_is_no_part(calls: Path) -> None:
    """A killed run's half-finished folder is swept away by the next."""
    rest = parts.cache_folder() / f".building-{PART.key}" / "bin"
    rest.mkdir(parents=True)
    (rest / "thing").write_text("half")
    assert (parts.built(PART) / "thing").read_text() == "built\n"
    assert not rest.parent.exists()


def test_without_go_the_error_says_what_needs_it(calls: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And a part that is already built needs no Go."""
    other = replace(PART, version="1.2.4")
    parts.built(other)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert parts.built(other).name == other.key
    with pytest.raises(
        parts.PartsError, match=r"^Go is not on the PATH\. A thing 1\.2\.3 is built .*\(make e2e\).*Go 1\."
    ):
        parts.built(PART)


def test_the_key_is_the_recipe(tmp_path: Path) -> None:
    """Version, modules, packages, tags and the manifest's text are in it; the estimate of minutes is not."""
    manifest = tmp_path / "builder.yaml"
    manifest.write_text("dist: {}")
    with_manifest = replace(PART, manifest=manifest).key
    manifest.write_text("dist: {name: other}")
    keys = {
        PART.key,
        replace(PART, version="2").key,
        replace(PART, requires=()).key,
        replace(PART, programs={}).key,
        replace(PART, tags="small").key,
        with_manifest,
        replace(PART, manifest=manifest).key,
    }
    assert len(keys) == 7
    assert replace(PART, minutes=9).key == PART.key


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So says the XDG specification."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    assert parts.cache_folder() == tmp_path / ".cache" / "otel-sidecar" / "parts"


def test_an_unknown_program_is_named() -> None:
    with pytest.raises(parts.PartsError, match=r"^no part builds 'grafana'; there are: otelcol-sidecar, jaeger, prom"):
        parts.binary("grafana")


def test_the_command_line_refuses_unknown_parts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parts.main(["grafana"])
    assert ended.value.code == 2
    assert "'grafana'" in capsys.readouterr().err
