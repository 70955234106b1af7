"""What a service imports: one line gives it traces, metrics and its model's telemetry over OpenTelemetry."""

from instrumentation.batching import Batch, Batcher
from instrumentation.cache import Cache
from instrumentation.decorators import stage
from instrumentation.measured import Stage
from instrumentation.model import Gauge, Model
from instrumentation.prediction import Prediction, Result
from instrumentation.redaction import Redaction
from instrumentation.service import Telemetry, instrument

__all__ = [
    "Batch",
    "Batcher",
    "Cache",
    "Gauge",
    "Model",
    "Prediction",
    "Redaction",
    "Result",
    "Stage",
    "Telemetry",
    "instrument",
    "stage",
]
