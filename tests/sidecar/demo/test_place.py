"""The example is found beside the package, and what it lacks is named."""

from __future__ import annotations

import pytest

from sidecar.demo import place
from sidecar.demo.place import MissingError, find_example
from tests.support.processes import ROOT


def test_the_source_trees_example_is_found() -> None:
    """In a checkout it is examples/catvsdog, importable from its root."""
    example = find_example()
    assert (example.root, example.package) == (ROOT, "examples.catvsdog")
    assert example.contract == ROOT / "examples" / "catvsdog" / "observability.yaml"


def test_missing_packages_are_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """An install without the extra gets the command that mends it."""
    monkeypatch.setattr(place, "find_spec", lambda name: None if name in ("numpy", "PIL") else object())
    with pytest.raises(
        MissingError, match=r"not installed: numpy, PIL: pip install 'otel-sidecar\[sidecar,examples\]'"
    ):
        find_example()


def test_an_install_without_the_example_says_where_it_looked(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Both places are named."""
    bare = tmp_path_factory.mktemp("site")
    monkeypatch.setattr(place, "_root", lambda: bare)
    with pytest.raises(MissingError, match=r"neither in .*examples nor in .*otel_sidecar_examples"):
        find_example()


def test_a_wheels_example_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """In an installed wheel it travels under a name of ours."""
    site = tmp_path_factory.mktemp("site")
    folder = site / "otel_sidecar_examples" / "catvsdog"
    folder.mkdir(parents=True)
    (folder / "observability.yaml").touch()
    monkeypatch.setattr(place, "_root", lambda: site)
    assert find_example().package == "otel_sidecar_examples.catvsdog"
