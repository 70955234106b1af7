"""Names, units and bucket boundaries of the registry, so that no code spells them."""

# Generated from instrumentation/registry.yaml by `make generate`; do not edit.

from typing import Final, NamedTuple


class Metric(NamedTuple):
    """A metric as the registry defines it: its unit is UCUM, its buckets are in that unit."""

    name: str
    instrument: str
    unit: str
    brief: str
    buckets: tuple[float, ...] = ()


ML_MODEL_NAME: Final = "ml.model.name"
ML_MODEL_VERSION: Final = "ml.model.version"
ML_PREDICTION_CLASS: Final = "ml.prediction.class"
ML_PREDICTION_ATTRIBUTE: Final = "ml.prediction.attribute"
ML_PREDICTION_OUTCOME: Final = "ml.prediction.outcome"
ML_PREDICTION_OUTCOME_SUCCESS: Final = "success"
ML_PREDICTION_OUTCOME_ERROR: Final = "error"
ML_PREDICTION_ID: Final = "ml.prediction.id"
ML_PREDICTION_SCORE: Final = "ml.prediction.score"
ML_PREDICTION_COUNT: Final = "ml.prediction.count"
ML_STAGE: Final = "ml.stage"
ML_STAGE_QUEUE: Final = "queue"
ML_STAGE_PREPROCESS: Final = "preprocess"
ML_STAGE_INFERENCE: Final = "inference"
ML_STAGE_POSTPROCESS: Final = "postprocess"
ML_STAGE_LOAD: Final = "load"
ML_STAGE_PREDICT: Final = "predict"
ML_FEEDBACK_CLASS: Final = "ml.feedback.class"
ML_FEEDBACK_OUTCOME: Final = "ml.feedback.outcome"
ML_FEEDBACK_OUTCOME_CORRECT: Final = "correct"
ML_FEEDBACK_OUTCOME_INCORRECT: Final = "incorrect"
ML_FEEDBACK_OUTCOME_UNKNOWN: Final = "unknown"
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_REQUEST_METHOD_ORIGINAL: Final = "http.request.method_original"
HTTP_REQUEST_BODY_SIZE: Final = "http.request.body.size"
HTTP_RESPONSE_BODY_SIZE: Final = "http.response.body.size"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
URL_SCHEME: Final = "url.scheme"
URL_PATH: Final = "url.path"
URL_QUERY: Final = "url.query"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
CLIENT_ADDRESS: Final = "client.address"
NETWORK_PROTOCOL_NAME: Final = "network.protocol.name"
NETWORK_PROTOCOL_VERSION: Final = "network.protocol.version"
USER_AGENT_ORIGINAL: Final = "user_agent.original"
ERROR_TYPE: Final = "error.type"

ML_PREDICTIONS: Final = Metric(
    "ml.predictions",
    "counter",
    "{prediction}",
    "Finished predictions, of both outcomes.",
)
ML_PREDICTIONS_ACTIVE: Final = Metric(
    "ml.predictions.active",
    "updowncounter",
    "{prediction}",
    "Predictions in flight.",
)
ML_PREDICTION_DURATION: Final = Metric(
    "ml.prediction.duration",
    "histogram",
    "s",
    "Duration of a prediction, all its stages included.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10),
)
ML_PREDICTION_CONFIDENCE: Final = Metric(
    "ml.prediction.confidence",
    "histogram",
    "",
    "The model's confidence in the class it predicted, 0 to 1.",
    (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, 1),
)
ML_PREDICTION_ERRORS: Final = Metric(
    "ml.prediction.errors",
    "counter",
    "{error}",
    "Predictions that ended with an exception, by its type and the stage it was raised in.",
)
ML_STAGE_DURATION: Final = Metric(
    "ml.stage.duration",
    "histogram",
    "s",
    "Duration of one stage of a prediction.",
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10),
)
ML_BATCH_SIZE: Final = Metric(
    "ml.batch.size",
    "histogram",
    "{prediction}",
    "Predictions in one batch call.",
    (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
)
ML_BATCH_CONFIDENCE: Final = Metric(
    "ml.batch.confidence",
    "histogram",
    "",
    "Mean confidence of the predictions of one batch call, 0 to 1.",
    (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, 1),
)
ML_MODEL_LOADED: Final = Metric(
    "ml.model.loaded",
    "gauge",
    "",
    "1 when the model is loaded and can answer, 0 when not.",
)
ML_MODEL_INFO: Final = Metric(
    "ml.model.info",
    "gauge",
    "",
    "Always 1; its attributes describe the model (version, framework, and what the service adds).",
)
ML_MODEL_LOAD_DURATION: Final = Metric(
    "ml.model.load.duration",
    "histogram",
    "s",
    "Duration of loading the model.",
    (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300),
)
ML_FEEDBACK: Final = Metric(
    "ml.feedback",
    "counter",
    "{feedback}",
    "Ground truths reported for predictions.",
)
HTTP_SERVER_REQUEST_DURATION: Final = Metric(
    "http.server.request.duration",
    "histogram",
    "s",
    "Duration of HTTP server requests, until the last byte of the response's body was handed to the server.",
    (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.25, 0.3, 0.5, 0.75, 1, 2, 2.5, 5, 7.5, 10),
)
HTTP_SERVER_RESPONSE_FIRST_BYTE_DURATION: Final = Metric(
    "http.server.response.first_byte.duration",
    "histogram",
    "s",
    "Time to the first byte of the body, of responses that are streamed (not in the conventions).",
    (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.25, 0.3, 0.5, 0.75, 1, 2, 2.5, 5, 7.5, 10),
)
HTTP_SERVER_BACKGROUND_DURATION: Final = Metric(
    "http.server.background.duration",
    "histogram",
    "s",
    "Background tasks of 50 ms and more, what went on after a response's last byte that is (not in the conventions).",
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
HTTP_SERVER_ACTIVE_REQUESTS: Final = Metric(
    "http.server.active_requests",
    "updowncounter",
    "{request}",
    "HTTP requests in flight.",
)
HTTP_SERVER_REQUEST_BODY_SIZE: Final = Metric(
    "http.server.request.body.size",
    "histogram",
    "By",
    "Bytes of request bodies as read by the service.",
    (100, 1000, 10000, 100000, 1000000, 10000000, 100000000),
)
HTTP_SERVER_RESPONSE_BODY_SIZE: Final = Metric(
    "http.server.response.body.size",
    "histogram",
    "By",
    "Bytes of response bodies.",
    (100, 1000, 10000, 100000, 1000000, 10000000, 100000000),
)

METRICS: Final = (ML_PREDICTIONS, ML_PREDICTIONS_ACTIVE, ML_PREDICTION_DURATION, ML_PREDICTION_CONFIDENCE, ML_PREDICTION_ERRORS, ML_STAGE_DURATION, ML_BATCH_SIZE, ML_BATCH_CONFIDENCE, ML_MODEL_LOADED, ML_MODEL_INFO, ML_MODEL_LOAD_DURATION, ML_FEEDBACK, HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_RESPONSE_FIRST_BYTE_DURATION, HTTP_SERVER_BACKGROUND_DURATION, HTTP_SERVER_ACTIVE_REQUESTS, HTTP_SERVER_REQUEST_BODY_SIZE, HTTP_SERVER_RESPONSE_BODY_SIZE)
