"""A service whose every answer can be counted from outside, for tests that kill its workers."""

from __future__ import annotations

import asyncio
import os

from fastapi import FastAPI, HTTPException

from instrumentation import Model, instrument

app = FastAPI(title="counting")
telemetry = instrument(app)
model = Model("counting", version="1")
with model.load():
    pass

# Counted before any fork when this module is loaded by `gunicorn --preload`.
for _ in range(int(os.environ.get("COUNT_AT_IMPORT", "0"))):
    with model.predict() as early:
        early.result("early")


@app.get("/predict/{name}")
async def predict(name: str) -> dict[str, str | int]:
    with model.predict() as p:
        with p.preprocess():
            if name == "bad":
                raise HTTPException(400, "no such name")
        with p.inference():
            await asyncio.sleep(0)
        p.result(name, confidence=0.9)
    return {"class": name, "pid": os.getpid()}


@app.get("/hang")
async def hang() -> None:
    await asyncio.sleep(3600)
