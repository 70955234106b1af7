"""Builds frozen types from YAML nodes: msgspec says what is allowed, this says where it is not."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml
from msgspec import inspect

from sidecar.contract.errors import ContractError, nearest, shown
from sidecar.contract.source import Place, is_null, key_path, kind_of, line_of, pairs

T = TypeVar("T")


@dataclass(slots=True)
class Builder:
    """Turns one file's nodes into plain values that fit a type; remembers the line of each place."""

    path: Path
    lines: dict[Place, int] = field(default_factory=dict)

    def build(self, node: yaml.Node | None, kind: type[T]) -> T:
        """The value of the whole document.

        Raises:
            ContractError: the first thing that does not fit, with its line.
        """
        plain = {} if node is None or is_null(node) else self._value(node, inspect.type_info(kind), ())
        try:
            return msgspec.convert(plain, kind)
        except msgspec.ValidationError as error:  # a constraint this class does not know: still an answer
            raise ContractError(f"{self.path}: {error}") from error

    def error(self, place: Place, what: str) -> ContractError:
        """An error at a place, or at the nearest place above it that the file has."""
        known = place
        while known and known not in self.lines:
            known = known[:-1]
        where = f"{self.path}:{self.lines[known]}" if known in self.lines else str(self.path)
        return ContractError(f"{where}: {f'key {key_path(place)}: ' if place else ''}{what}")

    def _value(self, node: yaml.Node, kind: inspect.Type, place: Place) -> object:
        self.lines.setdefault(place, line_of(node))
        kind = _bare(kind)
        if isinstance(kind, inspect.UnionType):
            kind = _bare(self._member(node, kind, place))
        match kind:
            case inspect.NoneType():
                return None
            case inspect.StructType():
                return self._struct(node, kind, place)
            case inspect.DictType():
                return self._dict(node, kind, place)
            case inspect.ListType() | inspect.VarTupleType():
                return self._list(node, kind, place)
            case _:
                return self._scalar(node, kind, place)

    def _list(self, node: yaml.Node, kind: inspect.ListType | inspect.VarTupleType, place: Place) -> list[object]:
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(place, f"{kind_of(node)} is no list")
        return [self._value(item, kind.item_type, (*place, at)) for at, item in enumerate(node.value)]

    def _scalar(self, node: yaml.Node, kind: inspect.Type, place: Place) -> str:
        text = self._text(node, place)
        if isinstance(kind, inspect.StrType):
            return self._checked(text, kind, place)
        if not isinstance(kind, inspect.LiteralType):
            raise TypeError(f"contract types hold no {type(kind).__name__}")
        if text not in kind.values:
            words = [str(value) for value in kind.values]
            raise self.error(place, f"{shown(text)} is not one of {', '.join(words)}{_hint(text, words)}")
        return text

    def _member(self, node: yaml.Node, kind: inspect.UnionType, place: Place) -> inspect.Type:
        """Of several allowed types the one that the node's shape asks for."""
        wanted: tuple[type[inspect.Type], ...]
        if isinstance(node, yaml.MappingNode):
            wanted = (inspect.StructType, inspect.DictType)
        elif isinstance(node, yaml.SequenceNode):
            wanted = (inspect.ListType, inspect.VarTupleType)
        elif is_null(node):
            wanted = (inspect.NoneType,)
        else:
            wanted = (inspect.StrType, inspect.LiteralType)
        for member in kind.types:
            if isinstance(_bare(member), wanted):
                return member
        raise self.error(place, f"{kind_of(node)} is neither {' nor '.join(_word(one) for one in kind.types)}")

    def _struct(self, node: yaml.Node, kind: inspect.StructType, place: Place) -> dict[str, object]:
        found = self._mapping(node, place)
        fields = {one.encode_name: one for one in kind.fields}
        for name, (key, _) in found.items():
            if name not in fields:
                self.lines[*place, name] = line_of(key)
                raise self.error((*place, name), f"unknown key{nearest(name, fields)}")
        missing = [name for name, one in fields.items() if one.required and name not in found]
        if missing:
            raise self.error((*place, missing[0]), "is missing and has no default")
        return {name: self._pair(pair, fields[name].type, (*place, name)) for name, pair in found.items()}

    def _dict(self, node: yaml.Node, kind: inspect.DictType, place: Place) -> dict[str, object]:
        found = self._mapping(node, place)
        keys = _bare(kind.key_type)
        for name, (key, _) in found.items():
            self.lines[*place, name] = line_of(key)
            if isinstance(keys, inspect.StrType):
                self._checked(name, keys, (*place, name))
        return {name: self._pair(pair, kind.value_type, (*place, name)) for name, pair in found.items()}

    def _pair(self, pair: tuple[yaml.Node, yaml.Node], kind: inspect.Type, place: Place) -> object:
        key, value = pair
        self.lines[place] = line_of(key)
        return self._value(value, kind, place)

    def _mapping(self, node: yaml.Node, place: Place) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self.error(place, f"{kind_of(node)} is no mapping of keys to values")
        return pairs(self.path, node, place)

    def _text(self, node: yaml.Node, place: Place) -> str:
        """A scalar as it is written: `version: 1.10` is not 1.1, and `status: 200` needs no quotes."""
        if not isinstance(node, yaml.ScalarNode) or is_null(node):
            raise self.error(place, f"{kind_of(node)} is no text")
        return str(node.value)

    def _checked(self, text: str, kind: inspect.StrType, place: Place) -> str:
        if kind.min_length is not None and len(text) < kind.min_length:
            raise self.error(place, "is empty")
        if kind.pattern is not None and not re.search(kind.pattern, text):
            raise self.error(place, f"{shown(text)} does not fit {kind.pattern}")
        return text


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _word(kind: inspect.Type) -> str:
    match _bare(kind):
        case inspect.StructType() | inspect.DictType():
            return "a mapping"
        case inspect.ListType() | inspect.VarTupleType():
            return "a list"
        case inspect.NoneType():
            return "nothing"
        case _:
            return "text"


def _hint(text: str, words: list[str]) -> str:
    hint = nearest(text, words)
    return hint if "did you mean" in hint else ""
