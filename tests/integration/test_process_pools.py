"""Predictions that are made in a pool's processes are counted once, and none is lost when the pool ends."""

from __future__ import annotations

import multiprocessing

import pytest

from tests.compat.received import received
from tests.support.otlp_sink import http_sink
from tests.support.processes import LOOPBACK, python, running

pytestmark = pytest.mark.integration

NEVER_MS = "600000"


@pytest.mark.parametrize("start", multiprocessing.get_all_start_methods())
def test_what_a_pool_has_measured_is_sent_when_it_ends(start: str) -> None:
    """However its processes are started; no interval ends while they run."""
    with http_sink() as sink:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{sink.port}",
            "OTEL_METRIC_EXPORT_INTERVAL": NEVER_MS,
            "OTEL_BSP_SCHEDULE_DELAY": NEVER_MS,
        }
        with running(python("-m", "tests.integration.apps.pool", start), name="pool", env=env) as program:
            assert program.process.wait(60) == 0, program.output
        arrived = received(sink)
        assert arrived.values("ml.predictions") == 20
        assert arrived.names.count("predict pool") == 20
