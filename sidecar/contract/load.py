"""Reads a contract file: one call, one frozen value, or one sentence that says what to change and where."""

from __future__ import annotations

from pathlib import Path

from sidecar.contract.build import Builder
from sidecar.contract.check import problems
from sidecar.contract.model import Contract
from sidecar.contract.source import compose


def load_contract(path: Path) -> Contract:
    """The contract in a file; an empty file is an empty contract.

    Raises:
        ContractError: unreadable, not YAML, an unknown or repeated key, a wrong value or a contradiction.
    """
    builder = Builder(path)
    contract = builder.build(compose(path), Contract)
    for place, what in problems(contract):
        raise builder.error(place, what)
    return contract
