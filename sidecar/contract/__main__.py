"""`python -m sidecar.contract` prints the JSON Schema; with files it checks them."""

from __future__ import annotations

import sys
from pathlib import Path

from sidecar.contract import ContractError, load_contract
from sidecar.contract.schema import text


def main(arguments: list[str]) -> int:
    """Exit status 0 fine, 2 a contract with an error."""
    if not arguments:
        sys.stdout.write(text())
        return 0
    status = 0
    for name in arguments:
        try:
            load_contract(Path(name))
        except ContractError as error:
            sys.stderr.write(f"{error}\n")
            status = 2
        else:
            sys.stdout.write(f"{name}: fine\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
