"""GPUs are measured where NVML is, and absent where it is not."""

from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType, SimpleNamespace

import pytest

from instrumentation.process.gpu import observe_gpus
from tests.support.own_meter import collecting


class Nvml(ModuleType):
    """NVML's bindings for two cards of a machine that has none; the second can't tell its utilization."""

    class NVMLError(Exception):
        """As NVML raises it."""

    def __init__(self, *, driver: bool = True) -> None:
        super().__init__("pynvml")
        self.__spec__ = importlib.machinery.ModuleSpec("pynvml", None)
        self.driver = driver

    def nvmlInit(self) -> None:  # noqa: N802 - NVML's own names here and below
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> bytes | str:  # noqa: N802
        return f"GPU-{handle}" if handle else b"GPU-0"

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        return "L4"

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:  # noqa: N802
        if handle:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=75)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(used=2**30, total=24 * 2**30)


def test_without_the_bindings_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even an instrument."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert collecting(observe_gpus) == {}


def test_without_a_driver_there_is_nothing_but_a_line_of_info(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image made for GPUs that runs where there is none."""
    monkeypatch.setitem(sys.modules, "pynvml", Nvml(driver=False))
    assert collecting(observe_gpus) == {}


def test_each_card_tells_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """Utilization as a share, memory in bytes, by the card's UUID; what a card can't tell is left out."""
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    found = collecting(observe_gpus)
    (busy,) = found["hw.gpu.utilization"]
    assert (busy.value, busy.attributes) == (0.75, {"hw.id": "GPU-0", "hw.name": "L4"})
    assert [(point.attributes["hw.id"], point.value) for point in found["hw.gpu.memory.usage"]] == [
        ("GPU-0", 2**30),
        ("GPU-1", 2**30),
    ]
    assert {point.value for point in found["hw.gpu.memory.limit"]} == {24 * 2**30}
