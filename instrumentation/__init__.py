"""What a service imports: one line gives it traces, metrics and its model's telemetry over OpenTelemetry."""

from instrumentation.model import Gauge, Model
from instrumentation.prediction import Prediction, Result, Stage
from instrumentation.service import Telemetry, instrument

__all__ = ["Gauge", "Model", "Prediction", "Result", "Stage", "Telemetry", "instrument"]
