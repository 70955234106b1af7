"""Generated files are what their source says now."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.generate import ROOT, generated, load


@pytest.mark.parametrize("path", generated(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_generated_file_is_current(path: Path) -> None:
    """`make generate` would change nothing."""
    assert path.read_text() == generated()[path]


def test_a_reference_without_a_definition_is_refused(tmp_path: Path) -> None:
    """The registry's own mistakes are named."""
    registry = tmp_path / "registry.yaml"
    registry.write_text("groups: [{id: g, type: metric, metric_name: m, attributes: [{ref: nowhere}]}]")
    with pytest.raises(ValueError, match="group g: ref 'nowhere' has no definition"):
        load(registry)
