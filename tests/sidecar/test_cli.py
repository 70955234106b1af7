"""The command's exit statuses and messages, and what it does not load."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from sidecar.cli import main
from tests.support.processes import ROOT, clean_env


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--version"])
    assert (raised.value.code, capsys.readouterr().out) == (0, version("otel-sidecar") + "\n")


@pytest.mark.parametrize("arguments", [[], ["teleport"], ["serve", "--warp", "9"], ["serve", "--metric", "h:1"]])
def test_wrong_usage_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "usage: otel-sidecar" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "run"])
def test_an_unknown_option_shows_the_usage_of_its_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main([command, "--nope"])
    said = capsys.readouterr().err
    assert (raised.value.code, said.startswith(f"usage: otel-sidecar {command} ")) == (2, True)
    assert said.endswith(f"otel-sidecar {command}: error: unrecognized arguments: --nope\n")


def test_a_wrong_setting_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--http", "4318"]) == 2
    assert capsys.readouterr().err == (
        "otel-sidecar serve: --http '4318': an address is HOST:PORT or [IPV6]:PORT, or off\n"
    )
    assert main(["run", "--max-age", "long", "--", "true"]) == 2
    assert capsys.readouterr().err == (
        "otel-sidecar run: --max-age 'long': a duration is a number with ms, s, m or h\n"
    )


def test_run_needs_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--http", "127.0.0.1:0", "--"]) == 2
    assert capsys.readouterr().err == (
        "otel-sidecar run: no command; it goes behind --, as in: otel-sidecar run -- uvicorn app:app\n"
    )


def _without(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        f"import sys; sys.modules[{module!r}] = None; from sidecar.cli import main; sys.exit(main({list(arguments)!r}))"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=clean_env(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("command", "module"), [("serve", "uvicorn"), ("demo", "sidecar.demo.run")])
def test_ctrl_c_while_it_starts_is_quiet(command: str, module: str) -> None:
    """Most of the first half second is imports."""
    code = f"""
import os, signal, sys
class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Impatient())
from sidecar.cli import main
sys.exit(main([{command!r}]))
"""
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, cwd=ROOT, env=clean_env(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_missing_extra_is_named_with_the_command_that_installs_it() -> None:
    done = _without("uvicorn", "serve")
    assert (done.returncode, done.stderr) == (
        2,
        "otel-sidecar serve: module 'uvicorn' is not installed: pip install 'otel-sidecar[sidecar]'\n",
    )


def test_the_command_itself_and_run_load_nothing_large(tmp_path: Path) -> None:
    """`run` stays beside the service for all its life."""
    code = (
        "import sys, json; from sidecar.cli import main; "
        "\ntry: main(['run', '--help'])\nexcept SystemExit: pass\nimport sidecar.run\n"
        f"open({str(tmp_path / 'modules')!r}, 'w').write(json.dumps(sorted(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    loaded = set(json.loads((tmp_path / "modules").read_text()))
    assert not loaded & {
        "asyncio",
        "google.protobuf",
        "grpc",
        "starlette",
        "uvicorn",
        "opentelemetry",
        "msgspec",
        "ssl",
    }
