"""A service as its team wrote it, instrumented at its import."""

from __future__ import annotations

from fastapi import FastAPI

from instrumentation import Model, instrument

app = FastAPI(title="sample")
instrument(app)
model = Model("sample", version="1")


@app.get("/predict/{name}")
def predict(name: str) -> dict[str, str]:
    with model.predict() as p:
        with p.inference():
            pass
        p.result(name, confidence=0.9)
    return {"class": name, "prediction_id": p.id}
