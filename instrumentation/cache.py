"""A cache in front of a model: hits, misses and size; the cache itself is the service's own."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING, Final

from opentelemetry.metrics import Meter, Observation

from instrumentation import semconv
from instrumentation.guard import guard
from instrumentation.instruments import counter, gauge
from instrumentation.measured import current_call

if TYPE_CHECKING:
    from instrumentation.model import Model

_caches: weakref.WeakSet[Cache] = weakref.WeakSet()
_gauge_made: Final = Lock()


class Cache:
    """Counts what a cache did; it is reported as long as somebody holds it.

    ```python
    seen: dict[str, str] = {}
    cache = model.cache("answers", size=lambda: len(seen))
    if cache.hit(text in seen): return seen[text]
    ```
    """

    def __init__(self, model: Model, meter: Meter, name: str, size: Callable[[], int] | None) -> None:
        self._size = size
        # Without the version: a cache outlives a reload.
        self.attributes = {semconv.ML_MODEL_NAME: model.name, semconv.ML_CACHE_NAME: name}
        self._requests = counter(meter, semconv.ML_CACHE_REQUESTS)
        if _gauge_made.acquire(blocking=False):
            gauge(meter, semconv.ML_CACHE_SIZE, _sizes)
        _caches.add(self)

    def hit(self, found: bool = True) -> bool:  # noqa: FBT001, FBT002 - `cache.hit(key in seen)` is how it reads
        """Counts one look-up and tells it on the current prediction's span; returns `found`."""
        with guard:
            result = semconv.ML_CACHE_RESULT_HIT if found else semconv.ML_CACHE_RESULT_MISS
            self._requests.add(1, {**self.attributes, semconv.ML_CACHE_RESULT: result})
            if (call := current_call()) is not None and call.span.is_recording():
                call.span.set_attribute(semconv.ML_CACHE_RESULT, result)
        return found

    def miss(self) -> None:
        """Counts one look-up that found nothing."""
        self.hit(False)

    def observe(self) -> Observation | None:
        """Its size now, if it was told how to find out."""
        with guard:
            return Observation(self._size(), self.attributes) if self._size else None
        return None


def _sizes() -> Iterable[Observation]:
    return [observed for cache in list(_caches) if (observed := cache.observe()) is not None]
