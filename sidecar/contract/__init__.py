"""The contract of a service (`observability.yaml`): what it is, and the names its team already uses."""

from __future__ import annotations

from sidecar.contract.errors import ContractError
from sidecar.contract.load import load_contract
from sidecar.contract.model import Contract, Label, MergeRule, Model, Service, View

__all__ = ["Contract", "ContractError", "Label", "MergeRule", "Model", "Service", "View", "load_contract"]
