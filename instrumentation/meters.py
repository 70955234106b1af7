"""A meter provider that starts afresh in a forked child, because the SDK's keeps the parent's totals there.

With the SDK's own provider a parent that counted 5 and forks twice is reported as 5 + 5 + 5, under one start time and
three identities, and nothing downstream can undo it (opentelemetry-python PR #4767). Here the application holds thin
instruments; the SDK's provider behind them is dropped at the fork and made anew at the first use in the child.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackT
from opentelemetry.metrics import _Gauge as Gauge
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.util.types import Attributes

_Thin = TypeVar("_Thin", bound="_ThinInstrument")


class _ThinInstrument:
    """What all instruments share: how the real one is made, and the real one of this process."""

    def __init__(self, provider: ForkSafeMeterProvider, make: Callable[[], Any]) -> None:
        self._provider = provider
        self._make = make
        self._real: Any = make()

    def _sleep(self) -> None:
        self._real = _Sleeping(self)

    def _wake(self) -> None:
        self._real = self._make()


class _Sleeping:
    """Stands where the real instrument was before the fork; the first measurement replaces it."""

    def __init__(self, instrument: _ThinInstrument) -> None:
        self._instrument = instrument

    def _awake(self) -> Any:
        self._instrument._provider.restart_if_forked()  # noqa: SLF001 - one mechanism in two classes
        return self._instrument._real  # noqa: SLF001

    def add(self, *arguments: Any) -> None:
        self._awake().add(*arguments)

    def record(self, *arguments: Any) -> None:
        self._awake().record(*arguments)

    def set(self, *arguments: Any) -> None:
        self._awake().set(*arguments)


class _Counter(_ThinInstrument, metrics.Counter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        self._real.add(amount, attributes, context)


class _UpDownCounter(_ThinInstrument, metrics.UpDownCounter):
    def add(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        self._real.add(amount, attributes, context)


class _Histogram(_ThinInstrument, metrics.Histogram):
    def record(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        self._real.record(amount, attributes, context)


class _Gauge(_ThinInstrument, Gauge):
    def set(self, amount: float, attributes: Attributes = None, context: Context | None = None) -> None:
        self._real.set(amount, attributes, context)


class _ObservableCounter(_ThinInstrument, metrics.ObservableCounter):
    """Asynchronous: its callbacks are the real instrument's."""


class _ObservableUpDownCounter(_ThinInstrument, metrics.ObservableUpDownCounter):
    """Asynchronous: its callbacks are the real instrument's."""


class _ObservableGauge(_ThinInstrument, metrics.ObservableGauge):
    """Asynchronous: its callbacks are the real instrument's."""


class ForkSafeMeterProvider(metrics.MeterProvider):
    """Hands out instruments that outlive a fork, over an SDK provider that does not.

    Args:
        start: makes and starts the SDK's provider of this process.
    """

    def __init__(self, start: Callable[[], SdkMeterProvider]) -> None:
        self._start = start
        self._lock = threading.RLock()
        self._instruments: list[_ThinInstrument] = []
        self._forked = False
        self.sdk = start()
        if hasattr(os, "register_at_fork"):
            this = weakref.ref(self)

            def after_fork() -> None:
                if provider := this():
                    provider._after_fork()  # noqa: SLF001 - its own

            os.register_at_fork(after_in_child=after_fork)

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> metrics.Meter:
        """The API's `get_meter`."""
        return _Meter(self, name, version, schema_url, attributes)

    def make(
        self, kind: Callable[[ForkSafeMeterProvider, Callable[[], Any]], _Thin], create: Callable[[], Any]
    ) -> _Thin:
        """A thin instrument whose real one `create` makes, now and again after each fork."""
        self.restart_if_forked()
        with self._lock:
            instrument = kind(self, create)
            self._instruments.append(instrument)
        return instrument

    def restart_if_forked(self) -> None:
        """In a forked child: makes the child's provider and instruments, once. Elsewhere: nothing."""
        if not self._forked:
            return
        with self._lock:
            if self._forked:
                self.sdk = self._start()
                self._forked = False
                for instrument in self._instruments:
                    instrument._wake()  # noqa: SLF001

    def _after_fork(self) -> None:
        # The parent's lock may have been held by a thread that does not exist here.
        self._lock = threading.RLock()
        self._forked = True
        for instrument in self._instruments:
            instrument._sleep()  # noqa: SLF001


class _Meter(metrics.Meter):
    """Makes thin instruments of one scope."""

    def __init__(
        self,
        provider: ForkSafeMeterProvider,
        name: str,
        version: str | None,
        schema_url: str | None,
        attributes: Attributes,
    ) -> None:
        super().__init__(name, version, schema_url)
        self._provider = provider
        self._scope = (name, version, schema_url, attributes)

    def _make(self, kind: Callable[..., _Thin], create: str, *arguments: Any, **options: Any) -> _Thin:
        def real() -> Any:
            meter = self._provider.sdk.get_meter(*self._scope)
            return getattr(meter, create)(*arguments, **options)

        return self._provider.make(kind, real)

    def create_counter(self, name: str, unit: str = "", description: str = "") -> metrics.Counter:
        return self._make(_Counter, "create_counter", name, unit, description)

    def create_up_down_counter(self, name: str, unit: str = "", description: str = "") -> metrics.UpDownCounter:
        return self._make(_UpDownCounter, "create_up_down_counter", name, unit, description)

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Gauge:
        return self._make(_Gauge, "create_gauge", name, unit, description)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> metrics.Histogram:
        return self._make(
            _Histogram,
            "create_histogram",
            name,
            unit,
            description,
            explicit_bucket_boundaries_advisory=explicit_bucket_boundaries_advisory,
        )

    def create_observable_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableCounter:
        return self._make(_ObservableCounter, "create_observable_counter", name, callbacks, unit, description)

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableUpDownCounter:
        create = "create_observable_up_down_counter"
        return self._make(_ObservableUpDownCounter, create, name, callbacks, unit, description)

    def create_observable_gauge(
        self, name: str, callbacks: Sequence[CallbackT] | None = None, unit: str = "", description: str = ""
    ) -> metrics.ObservableGauge:
        return self._make(_ObservableGauge, "create_observable_gauge", name, callbacks, unit, description)
