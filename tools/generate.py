"""Writes what is derived from the registry and the contract, so that a name, unit or key has exactly one home.

`python -m tools.generate` writes the files; `--check` says which of them differ and exits with 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sidecar.contract import schema

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = ROOT / "instrumentation" / "registry.yaml"

Group = dict[str, Any]


def constant(name: str) -> str:
    """`ml.model.name` → `ML_MODEL_NAME`."""
    return name.replace(".", "_").upper()


def load(path: Path = REGISTRY) -> list[Group]:
    """Reads the registry and checks that every `ref` has its definition and no id stands twice."""
    groups: list[Group] = yaml.safe_load(path.read_text())["groups"]
    defined = [attribute["id"] for attribute in definitions(groups)]
    names = defined + [group["metric_name"] for group in of_type(groups, "metric")]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{path}: defined twice: {sorted(twice)}")
    for group in groups:
        for attribute in group.get("attributes", ()):
            if "ref" in attribute and attribute["ref"] not in defined:
                raise ValueError(f"{path}: group {group['id']}: ref {attribute['ref']!r} has no definition")
        if group.get("instrument") == "histogram" and not group.get("annotations", {}).get("buckets"):
            raise ValueError(f"{path}: group {group['id']}: a histogram states its buckets")
    return groups


def of_type(groups: list[Group], kind: str) -> Iterator[Group]:
    """The groups of one type, in the file's order."""
    return (group for group in groups if group["type"] == kind)


def definitions(groups: list[Group]) -> Iterator[Group]:
    """Every attribute's definition, in the file's order."""
    for group in of_type(groups, "attribute_group"):
        yield from group["attributes"]


def python_constants(groups: list[Group]) -> str:
    """The module of constants that both packages carry."""
    lines = [
        '"""Names, units and bucket boundaries of the registry, so that no code spells them."""',
        "",
        "# Generated from instrumentation/registry.yaml by `make generate`; do not edit.",
        "",
        "from typing import Final, NamedTuple",
        "",
        "",
        "class Metric(NamedTuple):",
        '    """A metric as the registry defines it: its unit is UCUM, its buckets are in that unit."""',
        "",
        "    name: str",
        "    instrument: str",
        "    unit: str",
        "    brief: str",
        "    buckets: tuple[float, ...] = ()",
        "",
        "",
    ]
    for attribute in definitions(groups):
        name = constant(attribute["id"])
        lines.append(f'{name}: Final = "{attribute["id"]}"')
        if isinstance(attribute["type"], dict):
            lines += [f'{name}_{m["id"].upper()}: Final = "{m["value"]}"' for m in attribute["type"]["members"]]
    lines.append("")
    for metric in of_type(groups, "metric"):
        buckets = tuple(metric.get("annotations", {}).get("buckets", ()))
        fields = [json.dumps(metric[key]) for key in ("metric_name", "instrument", "unit", "brief")]
        fields += [repr(buckets)] if buckets else []
        joined = "".join(f"    {field},\n" for field in fields)
        lines.append(f"{constant(metric['metric_name'])}: Final = Metric(\n{joined})")
    metrics = ", ".join(constant(metric["metric_name"]) for metric in of_type(groups, "metric"))
    lines += ["", f"METRICS: Final = ({metrics})", ""]
    return "\n".join(lines)


def markdown(groups: list[Group]) -> str:
    """The reference page of metrics, attributes and spans."""
    lines = [
        "# Metrics, attributes and spans",
        "",
        "Generated from `instrumentation/registry.yaml` by `make generate`; do not edit.",
        "",
        "## Metrics",
        "",
        "| name | instrument | unit | attributes | what it is | boundaries |",
        "|---|---|---|---|---|---|",
    ]
    for metric in of_type(groups, "metric"):
        attributes = ", ".join(f"`{a['ref']}`" for a in metric.get("attributes", ()))
        buckets = " ".join(str(b) for b in metric.get("annotations", {}).get("buckets", ()))
        unit = f"`{metric['unit']}`" if metric["unit"] else ""
        cells = [f"`{metric['metric_name']}`", metric["instrument"], unit, attributes, metric["brief"], buckets]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## Spans", "", "| id | kind | attributes | what it is |", "|---|---|---|---|"]
    for span in of_type(groups, "span"):
        attributes = ", ".join(f"`{a['ref']}`" for a in span.get("attributes", ()))
        lines.append(f"| `{span['id']}` | {span['span_kind']} | {attributes} | {span['brief']} |")
    lines += ["", "## Attributes", "", "| name | values | what it is |", "|---|---|---|"]
    for attribute in definitions(groups):
        kind = attribute["type"]
        values = ", ".join(f"`{m['value']}`" for m in kind["members"]) if isinstance(kind, dict) else kind
        lines.append(f"| `{attribute['id']}` | {values} | {attribute['brief']} |")
    return "\n".join([*lines, ""])


def generated() -> dict[Path, str]:
    """Every generated file with the text it must have."""
    groups = load()
    constants = python_constants(groups)
    return {
        ROOT / "instrumentation" / "semconv.py": constants,
        ROOT / "sidecar" / "semconv.py": constants,
        ROOT / "docs" / "metrics.md": markdown(groups),
        ROOT / "docs" / "observability.schema.json": schema.text(),
    }


def main(arguments: list[str]) -> int:
    """Writes the files, or with `--check` names those that differ."""
    stale = {path: text for path, text in generated().items() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        print(path.relative_to(ROOT))
        if "--check" not in arguments:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
