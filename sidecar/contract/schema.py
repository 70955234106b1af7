"""The contract as JSON Schema, so that editors complete and check `observability.yaml` while it is written."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from sidecar.contract.model import Contract

#: Text in YAML needs no quotes: numbers and booleans are taken as they are written.
_SCALAR = ["string", "number", "boolean"]


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12."""
    made: dict[str, Any] = msgspec.json.schema(Contract)
    loose: dict[str, Any] = _loose(made)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "observability.yaml", **loose}


def text() -> str:
    """The schema as a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _loose(part: Any) -> Any:
    if isinstance(part, list):
        return [_loose(item) for item in part]
    if not isinstance(part, dict):
        return part
    out = {key: _loose(value) for key, value in part.items()}
    if out.get("type") == "string" and "pattern" not in out:
        out["type"] = _SCALAR
    return out
