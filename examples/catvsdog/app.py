"""The service: a picture goes in, cat or dog comes out. What makes it observable is `instrument(app)` and `model`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, NoReturn

from fastapi import FastAPI, HTTPException, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from instrumentation import Model, instrument

from .decoding import ImageError, TooLargeError, decode
from .drift import Drift
from .features import features
from .limits import BodyLimit
from .training import load_or_train

API_VERSION = "2.1.0"
MAX_BYTES = 10 * 1024 * 1024
PAGE = (Path(__file__).parent / "index.html").read_text(encoding="utf-8")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Answers only once the model is there; the first worker trains it, the others find it in the cache."""
    with model.load():
        app.state.classifier = load_or_train()
        app.state.drift = Drift(app.state.classifier.typical)
    yield


app = FastAPI(title="Cat vs dog", version=API_VERSION, lifespan=lifespan)
instrument(app, service_name="catvsdog-api", service_version=API_VERSION)
model = Model("catvsdog", version="1.4.0", info={"api_version": API_VERSION})
drift_score = model.gauge(
    "catvsdog.drift_score", description="How far recent pictures are from the training's, 0 to 1."
)


class Answer(BaseModel):
    """What the model says of a picture."""

    prediction_class: Annotated[str, Field(alias="class")]
    confidence: Annotated[float, Field(ge=0.5, le=1)]
    prediction_id: str


class Problem(BaseModel):
    """Why a request was refused, for the person who sent it."""

    detail: str


class Health(BaseModel):
    """Whether the service can answer."""

    status: str
    model_loaded: bool
    version: str


class Feedback(BaseModel):
    """What a picture really showed."""

    prediction_id: str
    truth: str


@app.post("/predict", responses={status: {"model": Problem} for status in (400, 413, 415)})
def predict(file: UploadFile) -> Answer:
    """Says whether a JPEG or PNG picture shows a cat or a dog."""
    with model.predict() as p:
        with p.preprocess():
            seen = features(decode(file.file.read(), file.content_type or ""))
        with p.inference():
            label, confidence = app.state.classifier.classify(seen)
        p.result(label, confidence=confidence)
        drift_score.set(app.state.drift.update(seen))
    return Answer(**{"class": label}, confidence=confidence, prediction_id=p.id)


@app.post("/feedback")
def feedback(said: Feedback) -> dict[str, bool | None]:
    """Takes the truth about an earlier prediction; null says that this worker did not make it."""
    return {"correct": model.feedback(said.prediction_id, truth=said.truth)}


@app.get("/health", responses={503: {"model": Health}})
def health() -> JSONResponse:
    """200 when the model is loaded, 503 when not."""
    body = Health(status="ok" if model.loaded else "unavailable", model_loaded=model.loaded, version=API_VERSION)
    return JSONResponse(body.model_dump(), 200 if model.loaded else 503)


@app.get("/", include_in_schema=False)
def page() -> HTMLResponse:
    """A page to drop a picture on."""
    return HTMLResponse(PAGE)


@app.exception_handler(ImageError)
def image_error(_: Request, error: ImageError) -> JSONResponse:
    """A picture that can't be classified is the sender's matter: 4xx with a sentence."""
    return JSONResponse({"detail": str(error)}, error.status)


def too_large() -> NoReturn:
    """Refuses an upload while it is being received; it counts as a failed prediction like any other wrong file."""
    try:
        with model.predict() as p, p.preprocess():
            raise TooLargeError(  # noqa: TRY301 - raised so that the model counts it
                f"the upload is too large; at most {MAX_BYTES // 2**20} MiB are taken"
            )
    except TooLargeError as error:
        raise HTTPException(error.status, str(error)) from error


app.add_middleware(BodyLimit, limit=MAX_BYTES, refuse=too_large)
