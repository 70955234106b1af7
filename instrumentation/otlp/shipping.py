"""From the SDK's data to requests that arrived or are accounted for: encode, divide, post, count; for all signals."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from opentelemetry.sdk.resources import Resource

from instrumentation.otlp.account import ENCODE, REJECTED, Account
from instrumentation.otlp.client import OtlpClient, Outcome, Posted
from instrumentation.otlp.settings import OtlpSettings

logger = logging.getLogger("instrumentation.otlp")

# Below the 4 MiB that gRPC receivers further down the way take by default.
MAX_BODY: Final = 3 * 1024 * 1024

# A part of the data can still arrive: one bad item is found by halving, a receiver with a lower limit is met by it.
_TOO_LARGE: Final = "http_413"
_DIVIDE: Final = frozenset({ENCODE, _TOO_LARGE})

_Data = TypeVar("_Data")
_said: set[str] = set()


@dataclass(frozen=True, slots=True)
class Goods(Generic[_Data]):
    """What differs between the signals.

    Attributes:
        items: the plural of what is counted.
        encode: the request's body.
        count: items in the data.
        halve: two parts of the data, or None when it can't be divided.
        repeats: whether the settings make it totals, which the next export sends again.
    """

    items: str
    encode: Callable[[_Data, Resource | None], bytes]
    count: Callable[[_Data], int]
    halve: Callable[[_Data], tuple[_Data, _Data] | None]
    repeats: Callable[[OtlpSettings], bool] = lambda _: False


class Shipping(Generic[_Data]):
    """The way of one signal out of the process.

    Args:
        settings: where to and how; their problems are logged here, each once in a process.
        goods: what is sent.
        resource: the resource to send instead of the data's own; asked for at each export, None for the data's own.
    """

    def __init__(self, settings: OtlpSettings, goods: Goods[_Data], resource: Callable[[], Resource] | None) -> None:
        self._goods = goods
        self._resource = resource
        self.client = OtlpClient(settings)
        self.account = Account(goods.items, str(settings.endpoint), repeats=goods.repeats(settings))
        for problem in settings.problems:
            if problem not in _said:
                _said.add(problem)
                logger.warning("%s", problem)

    def ship(self, data: _Data, timeout_s: float | None = None) -> bool:
        """Sends all of it within one deadline; returns whether all of it arrived. Raises nothing."""
        deadline = self.client.deadline(timeout_s)
        try:
            resource = self._resource() if self._resource else None
        except Exception as error:  # noqa: BLE001 - the service's callable; what it costs is counted and said
            return self._settle(self._goods.count(data), Posted(Outcome.PERMANENT, ENCODE, repr(error)))
        return self._ship(data, resource, deadline)

    def _ship(self, data: _Data, resource: Resource | None, deadline: float) -> bool:
        count = self._goods.count(data)
        if not count:
            return True
        posted = self._attempt(data, count, resource, deadline)
        halves = self._goods.halve(data) if posted.reason in _DIVIDE else None
        if halves is None:
            return self._settle(count, posted)
        arrived = [self._ship(half, resource, deadline) for half in halves]
        return all(arrived)

    def _attempt(self, data: _Data, count: int, resource: Resource | None, deadline: float) -> Posted:
        try:
            body = self._goods.encode(data, resource)
        except Exception as error:  # noqa: BLE001 - whatever an item holds, it costs that item alone, counted and said
            return Posted(Outcome.PERMANENT, ENCODE, repr(error))
        if len(body) > MAX_BODY and count > 1:
            return Posted(Outcome.PERMANENT, _TOO_LARGE)
        return self.client.post(body, deadline)

    def _settle(self, count: int, posted: Posted) -> bool:
        if posted.outcome is not Outcome.OK:
            self.account.lost(count, posted.reason, posted.words)
            return False
        rejected = min(posted.rejected, count)
        self.account.exported(count - rejected)
        if rejected:
            self.account.lost(rejected, REJECTED, posted.words)
        elif posted.words:
            self.account.remark(posted.words)
        return not rejected
