"""For the tests of services: what was recorded, in memory, and a clock that moves when it is told to.

```python
from instrumentation.testing import capture

def test_a_cat_is_counted(client):
    with capture() as captured:
        client.post("/predict", content=cat)
    assert captured.value("ml.predictions", {"ml.prediction.class": "cat"}) == 1
    assert captured.span("inference").parent.span_id == captured.span("POST /predict").context.span_id
```

With pytest, `from instrumentation.testing import captured` in a `conftest.py` is the same as a fixture.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.util.types import AttributeValue

from instrumentation.clock import clock
from instrumentation.measured import settle_abandoned
from instrumentation.meters import ForkSafeMeterProvider

_open = threading.Lock()


class FakeClock:
    """The time of requests, predictions, stages, batches and feedback while a capture is open: it stands still.

    What others measure, the spans that a service makes itself for one, keeps to the real time.
    """

    def __init__(self) -> None:
        self._wall_ns, self._monotonic_ns = clock.wall_ns(), clock.monotonic_ns()

    def advance(self, seconds: float) -> None:
        """Moves on."""
        if seconds < 0:
            raise ValueError(f"advance({seconds}): time does not go back")
        self._wall_ns += round(seconds * 1e9)
        self._monotonic_ns += round(seconds * 1e9)

    def wall_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self._wall_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds that never go back."""
        return self._monotonic_ns


@dataclass(frozen=True, slots=True)
class Point:
    """One data point.

    Attributes:
        attributes: its labels.
        value: a counter's or gauge's value, a histogram's sum; since the capture began.
        count: how many values a histogram took in; 0 of others.
    """

    attributes: dict[str, Any]
    value: float
    count: int = 0


class Captured:
    """What was recorded since the capture began; it can still be asked when the capture is over.

    Attributes:
        clock: the time, see `FakeClock`.
    """

    def __init__(self, recorder: _Recorder, reader: InMemoryMetricReader) -> None:
        self.clock = FakeClock()
        self._recorder, self._reader = recorder, reader
        self._spans: list[ReadableSpan] = []
        self._points: dict[str, list[Point]] | None = None

    @property
    def spans(self) -> list[ReadableSpan]:
        """All finished spans, in the order of their ends."""
        settle_abandoned()
        return list(self._spans)

    def span(self, name: str) -> ReadableSpan:
        """The one finished span of this name.

        Raises:
            AssertionError: there is none, or more than one; says which there are.
        """
        spans = self.spans
        found = [span for span in spans if span.name == name]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} spans are named {name!r}; there are {[span.name for span in spans]}")
        return found[0]

    def points(self, metric: str, attributes: Mapping[str, AttributeValue] | None = None) -> list[Point]:
        """The metric's points that have these attributes, and maybe others."""
        wanted = dict(attributes or {}).items()
        return [point for point in self._metrics().get(metric, []) if wanted <= point.attributes.items()]

    def value(self, metric: str, attributes: Mapping[str, AttributeValue] | None = None) -> float:
        """What was counted under these attributes; of a histogram the sum; 0 where nothing was recorded."""
        return sum(point.value for point in self.points(metric, attributes))

    def count(self, metric: str, attributes: Mapping[str, AttributeValue] | None = None) -> int:
        """How many values a histogram took in under these attributes."""
        return sum(point.count for point in self.points(metric, attributes))

    def close(self) -> None:
        """Keeps what there is, and takes no more."""
        self._points = self._metrics()
        self._recorder.into = None

    def take(self, span: ReadableSpan) -> None:
        """A span has ended."""
        self._spans.append(span)

    def _metrics(self) -> dict[str, list[Point]]:
        if self._points is not None:
            return self._points
        found: dict[str, list[Point]] = {}
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(_point(point) for point in metric.data.data_points)
        return found


def _point(point: Any) -> Point:
    attributes = dict(point.attributes or {})
    if hasattr(point, "sum"):
        return Point(attributes, point.sum, point.count)
    return Point(attributes, point.value)


class _Recorder(SpanProcessor):
    """Hands finished spans to the capture that is open; a provider keeps its processors for ever, so one for each."""

    def __init__(self) -> None:
        self.into: Captured | None = None

    def on_end(self, span: ReadableSpan) -> None:
        if self.into is not None:
            self.into.take(span)


_recorders: Final[weakref.WeakKeyDictionary[TracerProvider, _Recorder]] = weakref.WeakKeyDictionary()


@contextmanager
def capture() -> Iterator[Captured]:
    """Spans and metrics in memory, from zero, while the block runs; and a clock that stands still.

    It looks into the providers that `instrument()` or the application has set, and sets its own when there are none:
    entered before `instrument()`, nothing is exported either.

    Raises:
        RuntimeError: another capture is open, or the providers are not the SDK's.
    """
    if not _open.acquire(blocking=False):
        raise RuntimeError("capture() is open already: one at a time")
    try:
        recorder, meter = _recorder(), _meter_provider()
        reader = InMemoryMetricReader()
        # As the SDK's constructor does it; it has no public way to look into a provider that exists.
        consumer = meter._measurement_consumer  # noqa: SLF001
        reader._set_collect_callback(consumer.collect)  # type: ignore[arg-type] # noqa: SLF001 - the SDK's own typing
        consumer.add_metric_reader(reader)
        captured = recorder.into = Captured(recorder, reader)
        before = clock.wall_ns, clock.monotonic_ns
        clock.wall_ns, clock.monotonic_ns = captured.clock.wall_ns, captured.clock.monotonic_ns
        try:
            yield captured
        finally:
            captured.close()
            clock.wall_ns, clock.monotonic_ns = before
            consumer.remove_metric_reader(reader)
    finally:
        _open.release()


def _recorder() -> _Recorder:
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        provider = TracerProvider(shutdown_on_exit=False)
        trace.set_tracer_provider(provider)
    if not isinstance(provider, TracerProvider):
        raise RuntimeError(f"capture(): the tracer provider is {type(provider).__qualname__}, not the SDK's")  # noqa: TRY004
    recorder = _recorders.get(provider)
    if recorder is None:
        recorder = _recorders[provider] = _Recorder()
        provider.add_span_processor(recorder)
    return recorder


def _meter_provider() -> MeterProvider:
    provider = metrics.get_meter_provider()
    # The API has no public name for "nobody has set one yet".
    if type(provider).__name__ == "_ProxyMeterProvider":
        provider = MeterProvider(shutdown_on_exit=False)
        metrics.set_meter_provider(provider)
    if isinstance(provider, ForkSafeMeterProvider):
        provider.restart_if_forked()
        provider = provider.sdk
    if not isinstance(provider, MeterProvider):
        raise RuntimeError(f"capture(): the meter provider is {type(provider).__qualname__}, not the SDK's")  # noqa: TRY004
    return provider


def __getattr__(name: str) -> Any:
    """`captured`, the pytest fixture, made only where it is asked for: pytest is no dependency."""
    if name != "captured":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest

    @pytest.fixture(name="captured")
    def fixture() -> Iterator[Captured]:
        """What the test records: `instrumentation.testing.Captured`."""
        with capture() as recorded:
            yield recorded

    globals()[name] = fixture
    return fixture
