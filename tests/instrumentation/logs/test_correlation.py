"""Log records carry the ids of the trace that they were written in."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from instrumentation.logs import add_trace_context, correlate

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test")
logger = logging.getLogger("shop")


def test_a_record_in_a_span_has_its_ids(caplog: pytest.LogCaptureFixture) -> None:
    """Under the names of the stock instrumentation, so that format strings out there go on working."""
    correlate("catvsdog")
    with TRACER.start_as_current_span("work") as span:
        logger.warning("inside")
    (record,) = caplog.records
    context = span.get_span_context()
    found = {name: getattr(record, name) for name in ("otelTraceID", "otelSpanID", "otelTraceSampled")}
    assert found == {
        "otelTraceID": f"{context.trace_id:032x}",
        "otelSpanID": f"{context.span_id:016x}",
        "otelTraceSampled": True,
    }
    line = logging.Formatter("%(otelServiceName)s %(otelTraceID)s %(message)s").format(record)
    assert line == f"catvsdog {context.trace_id:032x} inside"


def test_a_record_outside_has_zeros(caplog: pytest.LogCaptureFixture) -> None:
    """A format string never fails for want of a field."""
    correlate()
    logger.warning("outside")
    (record,) = caplog.records
    assert logging.Formatter("%(otelTraceID)s %(otelSpanID)s %(otelTraceSampled)s").format(record) == "0 0 False"


def test_the_factory_that_was_there_still_makes_the_records(caplog: pytest.LogCaptureFixture) -> None:
    """Chained once, however often it is asked for."""

    class Record(logging.LogRecord):
        pass

    logging.setLogRecordFactory(Record)
    correlate()
    factory = logging.getLogRecordFactory()
    correlate()
    assert logging.getLogRecordFactory() is factory
    logger.warning("hello")
    assert isinstance(caplog.records[0], Record)


def test_a_services_own_trace_id_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    """Logging raises a KeyError for an `extra` that a record already has: we add no such common name."""
    correlate()
    logger.warning("mine", extra={"trace_id": "mine", "span_id": "mine"})
    assert caplog.records[0].trace_id == "mine"  # type: ignore[attr-defined] # what the service added


def test_an_event_of_structlog_gets_them_too() -> None:
    """A processor of a real structlog; what the event has stays, and outside of a trace nothing is added."""
    events: list[dict[str, Any]] = []

    def keep(_: Any, __: str, event: Any) -> Any:
        events.append(dict(event))
        raise structlog.DropEvent

    log = structlog.wrap_logger(None, processors=[add_trace_context, keep])
    with TRACER.start_as_current_span("work") as span:
        log.info("inside", pet="cat")
        log.info("own", trace_id="mine")
    log.info("outside")
    context = span.get_span_context()
    ids = {"span_id": f"{context.span_id:016x}", "trace_flags": f"{context.trace_flags:02x}"}
    assert events == [
        {"event": "inside", "pet": "cat", "trace_id": f"{context.trace_id:032x}", **ids},
        {"event": "own", "trace_id": "mine", **ids},
        {"event": "outside"},
    ]


def test_an_unsampled_trace_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Its ids can be searched in the logs, but not opened."""
    correlate()
    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("test")
    with trace.use_span(tracer.start_span("work")):
        logger.warning("inside")
    assert caplog.records[0].otelTraceSampled is False  # type: ignore[attr-defined] # what correlate adds
