"""docs/compatibility.md tells the versions that are really tested."""

from __future__ import annotations

import re

import pytest

from tests.compat.environments import ENVIRONMENTS, ROOT, Environment
from tests.compat.kinds import KINDS

TOLD = (ROOT / "docs" / "compatibility.md").read_text()
NAMED = ("fastapi", "starlette", "uvicorn", "gunicorn", "uvicorn-worker", "hypercorn", "granian", "protobuf")


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda one: one.name)
def test_the_documents_versions_are_the_locks(environment: Environment) -> None:
    """A lock that is resolved anew is told anew."""
    locked = dict(re.findall(r"^([a-z-]+)==([^\s;]+)", environment.lock.read_text(), re.MULTILINE))
    missing = [f"{name} {locked[name]}" for name in NAMED if name in locked and locked[name] not in TOLD]
    assert missing == []


def test_the_documents_number_of_kinds_is_right() -> None:
    """All of them are asked of every FastAPI."""
    assert f"{len(KINDS)} kinds of request" in TOLD
