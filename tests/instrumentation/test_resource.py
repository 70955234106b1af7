"""The resource says which process this is, and the environment has the last word on the service's name."""

from __future__ import annotations

import os

import pytest

from instrumentation.resource import DOWNWARD_API, build_resource


def test_the_environment_wins_over_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """One image is deployed under several names."""
    assert build_resource({}, service_name="code").attributes["service.name"] == "code"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "deployed")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=9,team=ml")
    attributes = build_resource({}, service_name="code", service_version="1").attributes
    assert (attributes["service.name"], attributes["service.version"], attributes["team"]) == ("deployed", "9", "ml")


def test_the_process_is_named() -> None:
    """Two workers of one pod never have the same resource."""
    attributes = build_resource({}).attributes
    assert attributes["process.pid"] == os.getpid()
    assert attributes["service.instance.id"]
    assert attributes["process.runtime.name"] == "cpython"


@pytest.mark.parametrize("attribute", DOWNWARD_API)
def test_each_way_to_name_the_downward_apis_values_is_read(attribute: str) -> None:
    """The first variable that is set counts."""
    for variable in DOWNWARD_API[attribute]:
        assert build_resource({variable: "value"}).attributes[attribute] == "value"
