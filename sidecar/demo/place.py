"""Finds the example that the demo runs: beside this package in a source tree, packed with it in an installed wheel."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import sidecar

#: What the example imports, by its import names; the extra that brings them is called `examples`.
_NEEDED: Final = ("fastapi", "numpy", "PIL", "sklearn", "python_multipart", "uvicorn")
_HINT: Final = "pip install 'otel-sidecar[sidecar,examples]'"


class MissingError(Exception):
    """The demo can't run here; the text says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Example:
    """Where the example is.

    Attributes:
        root: the folder that has to be on Python's path.
        package: its import name.
        contract: its observability.yaml.
    """

    root: Path
    package: str
    contract: Path


def find_example() -> Example:
    """The example.

    Raises:
        MissingError: it is not here, or packages that it needs are not.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingError(f"the example needs packages that are not installed: {', '.join(missing)}: {_HINT}")
    root = _root()
    for package in ("examples", "otel_sidecar_examples"):
        folder = root / package / "catvsdog"
        if (folder / "observability.yaml").is_file():
            return Example(root, f"{package}.catvsdog", folder / "observability.yaml")
    raise MissingError(
        f"the example `catvsdog` is neither in {root / 'examples'} nor in {root / 'otel_sidecar_examples'}"
    )


def _root() -> Path:
    """The folder that this package is in: the source tree, or site-packages."""
    return Path(sidecar.__file__).resolve().parents[1]
