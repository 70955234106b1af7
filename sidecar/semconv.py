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
ML_MODEL_ROLE: Final = "ml.model.role"
ML_MODEL_ROLE_PRIMARY: Final = "primary"
ML_MODEL_ROLE_CANARY: Final = "canary"
ML_MODEL_ROLE_SHADOW: Final = "shadow"
ML_PREDICTION_CLASS: Final = "ml.prediction.class"
ML_PREDICTION_ATTRIBUTE: Final = "ml.prediction.attribute"
ML_PREDICTION_OUTCOME: Final = "ml.prediction.outcome"
ML_PREDICTION_OUTCOME_SUCCESS: Final = "success"
ML_PREDICTION_OUTCOME_ERROR: Final = "error"
ML_PREDICTION_OUTCOME_CANCELLED: Final = "cancelled"
ML_PREDICTION_ID: Final = "ml.prediction.id"
ML_PREDICTION_SCORE: Final = "ml.prediction.score"
ML_PREDICTION_COUNT: Final = "ml.prediction.count"
ML_PREDICTION_CHUNKS: Final = "ml.prediction.chunks"
ML_PREDICTION_CUT: Final = "ml.prediction.cut"
ML_PREDICTION_INPUT: Final = "ml.prediction.input"
ML_CACHE_NAME: Final = "ml.cache.name"
ML_CACHE_RESULT: Final = "ml.cache.result"
ML_CACHE_RESULT_HIT: Final = "hit"
ML_CACHE_RESULT_MISS: Final = "miss"
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
FEATURE_FLAG_KEY: Final = "feature_flag.key"
FEATURE_FLAG_RESULT_VARIANT: Final = "feature_flag.result.variant"
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
OTEL_SIDECAR_KEEP: Final = "otel_sidecar.keep"
OTEL_SIDECAR_KEEP_REASON: Final = "otel_sidecar.keep_reason"
OTEL_SIDECAR_KEEP_REASON_ERROR: Final = "error"
OTEL_SIDECAR_KEEP_REASON_SLOW: Final = "slow"
OTEL_SIDECAR_KEEP_REASON_LOW_CONFIDENCE: Final = "low_confidence"
OTEL_SIDECAR_KEEP_REASON_FAILED_PREDICTION: Final = "failed_prediction"
OTEL_SIDECAR_KEEP_REASON_RATIO: Final = "ratio"
CPU_MODE: Final = "cpu.mode"
CPU_MODE_USER: Final = "user"
CPU_MODE_SYSTEM: Final = "system"
PROCESS_CONTEXT_SWITCH_TYPE: Final = "process.context_switch.type"
PROCESS_CONTEXT_SWITCH_TYPE_VOLUNTARY: Final = "voluntary"
PROCESS_CONTEXT_SWITCH_TYPE_INVOLUNTARY: Final = "involuntary"
CPYTHON_GC_GENERATION: Final = "cpython.gc.generation"
CODE_FUNCTION_NAME: Final = "code.function.name"
THREAD_POOL_NAME: Final = "thread_pool.name"
THREAD_POOL_NAME_ANYIO: Final = "anyio"
HW_ID: Final = "hw.id"
HW_NAME: Final = "hw.name"
CODE_FILE_PATH: Final = "code.file.path"
CODE_LINE_NUMBER: Final = "code.line.number"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

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
ML_FEEDBACK_DELAY: Final = Metric(
    "ml.feedback.delay",
    "histogram",
    "s",
    "Time from a prediction to the report of its ground truth, of predictions this process still knows.",
    (1, 10, 60, 300, 900, 3600, 14400, 43200, 86400, 259200, 604800),
)
ML_PREDICTION_TIME_TO_FIRST_CHUNK: Final = Metric(
    "ml.prediction.time_to_first_chunk",
    "histogram",
    "s",
    "Time from a prediction's begin to the first chunk of its streamed result.",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10),
)
ML_CACHE_REQUESTS: Final = Metric(
    "ml.cache.requests",
    "counter",
    "{request}",
    "Look-ups in a cache of the model.",
)
ML_CACHE_SIZE: Final = Metric(
    "ml.cache.size",
    "gauge",
    "{entry}",
    "Entries in a cache of the model.",
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
PROCESS_CPU_TIME: Final = Metric(
    "process.cpu.time",
    "counter",
    "s",
    "Processor time of the process.",
)
PROCESS_MEMORY_USAGE: Final = Metric(
    "process.memory.usage",
    "updowncounter",
    "By",
    "Physical memory in use (not on macOS).",
)
PROCESS_MEMORY_VIRTUAL: Final = Metric(
    "process.memory.virtual",
    "updowncounter",
    "By",
    "Committed virtual memory (not on macOS).",
)
PROCESS_THREAD_COUNT: Final = Metric(
    "process.thread.count",
    "updowncounter",
    "{thread}",
    "Threads, those of native libraries included (not on macOS).",
)
PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: Final = Metric(
    "process.unix.file_descriptor.count",
    "updowncounter",
    "{file_descriptor}",
    "Open file descriptors.",
)
PROCESS_CONTEXT_SWITCHES: Final = Metric(
    "process.context_switches",
    "counter",
    "{context_switch}",
    "Times the process left the processor.",
)
CPYTHON_GC_COLLECTIONS: Final = Metric(
    "cpython.gc.collections",
    "counter",
    "{collection}",
    "Garbage collections, by generation.",
)
CPYTHON_GC_COLLECTED_OBJECTS: Final = Metric(
    "cpython.gc.collected_objects",
    "counter",
    "{object}",
    "Objects that were collected.",
)
CPYTHON_GC_UNCOLLECTABLE_OBJECTS: Final = Metric(
    "cpython.gc.uncollectable_objects",
    "counter",
    "{object}",
    "Objects found to be uncollectable.",
)
CPYTHON_GC_PAUSE_TIME: Final = Metric(
    "cpython.gc.pause.time",
    "counter",
    "s",
    "Time that the process stood still for garbage collections (not in the conventions).",
)
CPYTHON_GC_PAUSE_DURATION: Final = Metric(
    "cpython.gc.pause.duration",
    "histogram",
    "s",
    "Garbage collections of 1 ms and more, one by one (not in the conventions).",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
ASYNCIO_EVENT_LOOP_LAG: Final = Metric(
    "asyncio.event_loop.lag",
    "histogram",
    "s",
    "How late the event loop runs a timer that is due every 0.25 s (not in the conventions).",
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
ASYNCIO_EVENT_LOOP_BLOCKED: Final = Metric(
    "asyncio.event_loop.blocked",
    "counter",
    "{block}",
    "Times the event loop was blocked for longer than the threshold, by the function found in it (not in the conventions).",
)
THREAD_POOL_ACTIVE: Final = Metric(
    "thread_pool.active",
    "updowncounter",
    "{thread}",
    "Threads of the pool that are at work (not in the conventions).",
)
THREAD_POOL_LIMIT: Final = Metric(
    "thread_pool.limit",
    "updowncounter",
    "{thread}",
    "Threads that the pool may have at most (not in the conventions).",
)
THREAD_POOL_QUEUE_LENGTH: Final = Metric(
    "thread_pool.queue.length",
    "updowncounter",
    "{call}",
    "Calls that wait for a thread of the pool (not in the conventions).",
)
HW_GPU_UTILIZATION: Final = Metric(
    "hw.gpu.utilization",
    "gauge",
    "",
    "Share of the time in which the GPU was busy, 0 to 1.",
)
HW_GPU_MEMORY_USAGE: Final = Metric(
    "hw.gpu.memory.usage",
    "gauge",
    "By",
    "Memory of the GPU in use, by whomever (a gauge: every process reads the same card).",
)
HW_GPU_MEMORY_LIMIT: Final = Metric(
    "hw.gpu.memory.limit",
    "gauge",
    "By",
    "Memory of the GPU.",
)

METRICS: Final = (ML_PREDICTIONS, ML_PREDICTIONS_ACTIVE, ML_PREDICTION_DURATION, ML_PREDICTION_CONFIDENCE, ML_PREDICTION_ERRORS, ML_STAGE_DURATION, ML_BATCH_SIZE, ML_BATCH_CONFIDENCE, ML_MODEL_LOADED, ML_MODEL_INFO, ML_MODEL_LOAD_DURATION, ML_FEEDBACK, ML_FEEDBACK_DELAY, ML_PREDICTION_TIME_TO_FIRST_CHUNK, ML_CACHE_REQUESTS, ML_CACHE_SIZE, HTTP_SERVER_REQUEST_DURATION, HTTP_SERVER_RESPONSE_FIRST_BYTE_DURATION, HTTP_SERVER_BACKGROUND_DURATION, HTTP_SERVER_ACTIVE_REQUESTS, HTTP_SERVER_REQUEST_BODY_SIZE, HTTP_SERVER_RESPONSE_BODY_SIZE, PROCESS_CPU_TIME, PROCESS_MEMORY_USAGE, PROCESS_MEMORY_VIRTUAL, PROCESS_THREAD_COUNT, PROCESS_UNIX_FILE_DESCRIPTOR_COUNT, PROCESS_CONTEXT_SWITCHES, CPYTHON_GC_COLLECTIONS, CPYTHON_GC_COLLECTED_OBJECTS, CPYTHON_GC_UNCOLLECTABLE_OBJECTS, CPYTHON_GC_PAUSE_TIME, CPYTHON_GC_PAUSE_DURATION, ASYNCIO_EVENT_LOOP_LAG, ASYNCIO_EVENT_LOOP_BLOCKED, THREAD_POOL_ACTIVE, THREAD_POOL_LIMIT, THREAD_POOL_QUEUE_LENGTH, HW_GPU_UTILIZATION, HW_GPU_MEMORY_USAGE, HW_GPU_MEMORY_LIMIT)
