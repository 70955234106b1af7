"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.contract import load_contract
from tests.support.processes import LOOPBACK, ROOT, clean_env, free_port, http, running, wait_for

README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line]


def test_every_command_is_one_that_a_test_knows() -> None:
    """A command that is added here must be added to a test."""
    assert commands() == [
        'make demo DEMO_ARGS="--for 20s"',
        "make test",
        "otel-sidecar run -- uvicorn app:app --workers 4",
    ]


def test_every_make_target_named_exists() -> None:
    """`make -n` knows how to make it."""
    targets = set(re.findall(r"^make (\w+)|`make (\w+)`", README, re.MULTILINE))
    for target in sorted(first or second for first, second in targets):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_every_link_leads_somewhere() -> None:
    """Relative links are files of the repository."""
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_view_is_a_contract(tmp_path: Path) -> None:
    """The YAML is read by the real loader."""
    (block,) = blocks("yaml")
    path = tmp_path / "observability.yaml"
    path.write_text(block)
    (view,) = load_contract(path).views
    assert view.name == "http_requests_total"


@pytest.mark.integration
def test_the_ten_lines_run_with_a_sidecar_beside_them(tmp_path: Path) -> None:
    """The Python block, started by the shell block, is counted on /metrics; its exit status passes through."""
    (code,) = blocks("python")
    (tmp_path / "app.py").write_text(code)
    (command,) = [line for line in commands() if line.startswith("otel-sidecar run")]
    program, *arguments = shlex.split(command)
    port, otlp, grpc, metrics = (free_port() for _ in range(4))
    addresses = {
        "OTEL_SIDECAR_HTTP": f"{LOOPBACK}:{otlp}",
        "OTEL_SIDECAR_GRPC": f"{LOOPBACK}:{grpc}",
        "OTEL_SIDECAR_METRICS": f"{LOOPBACK}:{metrics}",
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "PATH": f"{BIN}:{clean_env()['PATH']}",
    }
    where = ["--port", str(port), "--host", LOOPBACK]
    with running([BIN / program, *arguments, *where], name="run", env=addresses, cwd=tmp_path) as service:
        service.wait_url(f"http://{LOOPBACK}:{port}/openapi.json")
        body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nbytes\r\n--x--\r\n'
        answer = http(
            f"http://{LOOPBACK}:{port}/predict", body=body, headers={"content-type": "multipart/form-data; boundary=x"}
        )
        assert answer.status == 200, answer.text
        counted = r'^ml_predictions_total\{.*ml_prediction_class="cat".*\} 1(\.0)?$'
        wait_for(
            lambda: re.search(counted, http(f"http://{LOOPBACK}:{metrics}/metrics").text, re.MULTILINE),
            "the prediction on /metrics",
        )


@pytest.mark.integration
def test_make_demo_ends_by_itself() -> None:
    """`make demo` with its arguments ends with status 0 and its check."""
    done = subprocess.run(
        ["make", "demo", "DEMO_ARGS=--for 4s"], cwd=ROOT, capture_output=True, text=True, check=False, env=clean_env()
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_changelog_is_in_the_kept_form() -> None:
    """An Unreleased section first, then versions with dates, each with the form's headings alone."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", version) for version in versions[1:])
    headings = set(re.findall(r"^### (.*)$", changelog, re.MULTILINE))
    assert headings <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
