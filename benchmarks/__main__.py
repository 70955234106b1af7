"""`make bench`: the figures of this product beside its peers', on this machine."""

from __future__ import annotations

from benchmarks import encode
from benchmarks.request import compare
from benchmarks.sidecar import measured_sidecar

if __name__ == "__main__":
    encode.main()
    with measured_sidecar() as endpoint:
        compare(endpoint, rounds=5, requests=5000)
