"""NVIDIA GPUs by NVML, where `pynvml` (distribution nvidia-ml-py) is installed; nothing where it is not."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.util.types import AttributeValue

from instrumentation import semconv
from instrumentation.process.observe import Reading, observe

logger = logging.getLogger("instrumentation")


def observe_gpus(meter: Meter) -> None:
    """Registers the `hw.gpu.*` metrics if NVML can be imported."""
    if importlib.util.find_spec("pynvml") is None:
        return
    gpus = Gpus()
    observe(
        meter,
        semconv.HW_GPU_UTILIZATION,
        lambda: gpus.read(lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100),
    )
    observe(
        meter,
        semconv.HW_GPU_MEMORY_USAGE,
        lambda: gpus.read(lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used),
    )
    observe(
        meter,
        semconv.HW_GPU_MEMORY_LIMIT,
        lambda: gpus.read(lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total),
    )


class Gpus:
    """The GPUs that this process sees. NVML is started at the first look, so never before a fork."""

    def __init__(self) -> None:
        self._pid = 0
        self._nvml: Any = None
        self._devices: list[tuple[Any, dict[str, AttributeValue]]] = []

    def read(self, value: Callable[[Any, Any], float]) -> Iterator[Reading]:
        """One reading of each GPU; what one of them can't tell is left out."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._devices = self._find()
        for device, attributes in self._devices:
            try:
                yield value(self._nvml, device), attributes
            except self._nvml.NVMLError:
                # Not every card, and no slice of one, tells everything: a point that is missing says so.
                continue

    def _find(self) -> list[tuple[Any, dict[str, AttributeValue]]]:
        self._nvml = pynvml = importlib.import_module("pynvml")
        try:
            pynvml.nvmlInit()
            handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
            return [(handle, _describe(pynvml, handle)) for handle in handles]
        except pynvml.NVMLError as error:
            logger.info("no GPU metrics: %s", error)
            return []


def _describe(nvml: Any, handle: Any) -> dict[str, AttributeValue]:
    return {
        semconv.HW_ID: _text(nvml.nvmlDeviceGetUUID(handle)),
        semconv.HW_NAME: _text(nvml.nvmlDeviceGetName(handle)),
    }


def _text(value: str | bytes) -> str:
    # Older bindings give bytes.
    return value.decode() if isinstance(value, bytes) else value
