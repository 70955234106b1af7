"""YAML as plain values with the line of each, so that every error can point at its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import yaml

from sidecar.contract.errors import ContractError, shown

#: Where a value is: keys and positions from the top.
Place: TypeAlias = tuple[str | int, ...]

_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


def compose(path: Path) -> yaml.Node | None:
    """The file's one document; None when it is empty.

    Raises:
        ContractError: unreadable, no UTF-8, no YAML, or more than one document.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ContractError(f"{path}: no UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from error
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = " ".join(filter(None, (error.context, error.problem)))
        raise ContractError(f"{path}:{line}: no YAML: {what}") from error
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: no YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise ContractError(f"{path}: no contract: nested too deeply") from error


def key_path(place: Place) -> str:
    """`views[2].labels.status`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def line_of(node: yaml.Node) -> int:
    """Counted from one."""
    return int(node.start_mark.line) + 1


def is_null(node: yaml.Node) -> bool:
    """Nothing, `~` or `null`."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


def pairs(path: Path, node: yaml.MappingNode, place: Place) -> dict[str, tuple[yaml.Node, yaml.Node]]:
    """A mapping's (key, value) nodes by key, with `<<` merged in.

    Raises:
        ContractError: a key twice, or a key that is no text.
    """
    return dict(_pairs(path, node, place, frozenset()))


def _pairs(
    path: Path, node: yaml.MappingNode, place: Place, above: frozenset[int]
) -> Iterator[tuple[str, tuple[yaml.Node, yaml.Node]]]:
    own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
    merged: list[yaml.Node] = []
    for key, value in node.value:
        if key.tag == _MERGE:
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            continue
        if not isinstance(key, yaml.ScalarNode):
            raise ContractError(f"{path}:{line_of(key)}: key {key_path(place) or '(top)'}: a key must be text")
        if key.value in own:
            first = line_of(own[key.value][0])
            raise ContractError(
                f"{path}:{line_of(key)}: key {key_path((*place, key.value))}: given twice, first in line {first}"
            )
        own[key.value] = (key, value)
    for source in merged:
        if not isinstance(source, yaml.MappingNode) or id(source) in above:
            raise ContractError(f"{path}:{line_of(source)}: key {key_path(place)}.<<: needs another mapping")
        for name, pair in _pairs(path, source, place, above | {id(node)}):
            if name not in own:
                yield name, pair
    yield from own.items()


def kind_of(node: yaml.Node) -> str:
    """What a node is, in a user's words, with its value."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "nothing" if is_null(node) else shown(node.value)
