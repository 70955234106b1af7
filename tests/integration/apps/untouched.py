"""A service that knows nothing of telemetry, for `otel-sidecar run`."""

from __future__ import annotations

import os

from fastapi import FastAPI

app = FastAPI(title="untouched")


@app.get("/items/{item}")
def items(item: str) -> dict[str, str | int]:
    return {"item": item, "pid": os.getpid()}
