"""A service whose model needs an old protobuf; what it says of its process is what the test checks."""

from __future__ import annotations

import os
import sys

import google.protobuf
from fastapi import FastAPI
from google.protobuf.struct_pb2 import Struct

import instrumentation
from instrumentation import Model, instrument

app = FastAPI(title="beside-protobuf")
instrument(app)
model = Model("old", version="1")


@app.get("/predict/{name}")
def predict(name: str) -> dict[str, str | int]:
    with model.predict() as p:
        with p.preprocess():
            message = Struct()
            message.update({"name": name})
        with p.inference():
            answer = str(Struct.FromString(message.SerializeToString())["name"])
        p.result(answer, confidence=0.9)
    return {"class": answer, "pid": os.getpid()}


@app.get("/process")
def process() -> dict[str, str | list[str] | None]:
    return {
        "protobuf": google.protobuf.__version__,
        "instrumentation": instrumentation.__file__,
        "stock": sorted(name for name in sys.modules if name.startswith(("opentelemetry.proto", "grpc"))),
    }
