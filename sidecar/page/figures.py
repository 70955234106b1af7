"""Turns merged metrics into what the page and `/api/summary` show: requests, their errors and latency, and models.

Pure: two readings in, frozen figures out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sidecar import semconv
from sidecar.bridge.model import HistogramValue
from sidecar.page import models
from sidecar.page.models import MAX_ROWS, ModelFigures
from sidecar.page.quantiles import Latency, latency, share, total
from sidecar.page.readings import Reading

METRICS: Final = models.METRICS | {
    semconv.HTTP_SERVER_REQUEST_DURATION.name,
    semconv.HTTP_SERVER_ACTIVE_REQUESTS.name,
}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests: in all, per second, the shares of 4xx and 5xx answers (0 to 1; None without requests), latency."""

    total: int
    rate: float
    client_errors: float | None
    server_errors: float | None
    server_errors_total: int
    client_errors_total: int
    latency: Latency


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method and route of the service."""

    method: str
    route: str
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that comes from metrics.

    Attributes:
        window_s: seconds that rates, shares and latencies are of.
        since_start: the window is the services' entire life, because nobody looked a little earlier.
    """

    window_s: float
    since_start: bool
    requests: Traffic
    active_requests: int
    endpoints: tuple[Endpoint, ...]
    models: tuple[ModelFigures, ...]


def figures(now: Reading, recent: Reading, window_s: float, *, since_start: bool) -> Figures:
    """The figures of a reading; `recent` is what was added in the last `window_s` seconds."""
    window = max(window_s, 0.001)
    everything = list(now.histogram(semconv.HTTP_SERVER_REQUEST_DURATION))
    lately = list(recent.histogram(semconv.HTTP_SERVER_REQUEST_DURATION))
    by_endpoint: dict[tuple[str, str], tuple[_Answers, _Answers]] = defaultdict(lambda: ([], []))
    for which, answers in enumerate((everything, lately)):
        for attributes, value in answers:
            by_endpoint[_endpoint(attributes)][which].append((attributes, value))
    endpoints = [Endpoint(*key, _traffic(*answers, window)) for key, answers in by_endpoint.items()]
    endpoints.sort(key=lambda one: (-one.traffic.rate, -one.traffic.total, one.route, one.method))
    return Figures(
        window_s=window_s,
        since_start=since_start,
        requests=_traffic(everything, lately, window),
        active_requests=now.sum(semconv.HTTP_SERVER_ACTIVE_REQUESTS),
        endpoints=tuple(endpoints[:MAX_ROWS]),
        models=models.models(now, recent, window),
    )


_Answers = list[tuple[dict[str, str], HistogramValue]]


def _traffic(everything: _Answers, lately: _Answers, window_s: float) -> Traffic:
    all_total, all_client, all_server = _statuses(everything)
    recent_total, client, server = _statuses(lately)
    return Traffic(
        total=all_total,
        rate=recent_total / window_s,
        client_errors=share(client, recent_total),
        server_errors=share(server, recent_total),
        server_errors_total=all_server,
        client_errors_total=all_client,
        latency=latency(total(value for _, value in lately)),
    )


def _statuses(answers: _Answers) -> tuple[int, int, int]:
    """(all, 4xx, failed); failed are 5xx answers and requests that ended without any."""
    count = client = server = 0
    for attributes, value in answers:
        count += value.count
        status = attributes.get(semconv.HTTP_RESPONSE_STATUS_CODE, "")
        if status.startswith("4"):
            client += value.count
        elif status.startswith("5") or (not status and semconv.ERROR_TYPE in attributes):
            server += value.count
    return count, client, server


def overall(now: Reading) -> tuple[int, int, HistogramValue]:
    """(requests, failed ones, their durations) of everything since the start, for the sparklines."""
    answers = list(now.histogram(semconv.HTTP_SERVER_REQUEST_DURATION))
    count, _, failed = _statuses(answers)
    return count, failed, total(value for _, value in answers)


def _endpoint(attributes: Mapping[str, str]) -> tuple[str, str]:
    return attributes.get(semconv.HTTP_REQUEST_METHOD, ""), attributes.get(semconv.HTTP_ROUTE, "")
