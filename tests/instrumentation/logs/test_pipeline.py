"""Log records arrive by OTLP with their trace's ids, and what the export says of itself never does."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import _logs
from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from instrumentation.logs.handler import OtelHandler
from instrumentation.logs.pipeline import LogPipeline, start_logs
from sidecar.batch import Signal
from tests.support.otlp_requests import REQUESTS
from tests.support.otlp_sink import Answer, Sink, http_sink
from tests.support.processes import LOOPBACK, wait_for

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test")
logger = logging.getLogger("shop")


def environ(port: int) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{port}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}


@contextmanager
def pipeline(port: int) -> Iterator[LogPipeline]:
    made = LogPipeline(["otlp"], environ(port), lambda: Resource({"service.name": "shop"}))
    made.attach()
    logging.getLogger().setLevel(logging.DEBUG)
    yield made
    for exporter in made.exporters:
        exporter.begin_shutdown(1)
    made.shutdown()


def attributes(record: LogRecord) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in record.attributes}


def own(sink: Sink) -> list[LogRecord]:
    return [record for record in sink.items(Signal.LOGS) if "test_pipeline" in str(attributes(record))]


def test_a_record_arrives_as_it_was_written() -> None:
    """Severity, body, ids, where it was written, the exception, the service's own fields; flushed on demand."""
    with http_sink() as sink, pipeline(sink.port) as out:
        with TRACER.start_as_current_span("work") as span:
            try:
                os.environ["LOST"]
            except KeyError:
                logger.exception("failed for %s", "cat", extra={"pet": "cat", "odd": {1}, "many": (1, 2)})
        out.flush(5000)
        (record,) = own(sink)
        (request,) = [REQUESTS[signal].FromString(body) for signal, body, _ in sink.requests if signal is Signal.LOGS]
    context = span.get_span_context()
    assert record.trace_id == context.trace_id.to_bytes(16, "big")
    assert record.span_id == context.span_id.to_bytes(8, "big")
    assert (record.severity_number, record.severity_text) == (17, "ERROR")
    assert record.body.string_value == "failed for cat"
    found = attributes(record)
    assert (found["pet"], found["odd"]) == ("cat", "{1}")
    assert (found["exception.type"], found["exception.message"]) == ("KeyError", "'LOST'")
    assert str(found["code.file.path"]).endswith("test_pipeline.py")
    assert found["code.function.name"] == "test_a_record_arrives_as_it_was_written"
    assert request.resource_logs[0].scope_logs[0].scope.name == "shop"


def test_shutdown_sends_what_waits() -> None:
    """The last words of a service are the ones that are read."""
    with http_sink() as sink:
        with pipeline(sink.port):
            logger.error("last words")
        assert [record.body.string_value for record in own(sink)] == ["last words"]


def test_a_failing_export_does_not_feed_itself() -> None:
    """Nobody answers: the complaints are not exported, so the queue empties."""
    with http_sink() as sink:
        sink.decide = lambda _signal, _body: Answer(503)
        with pipeline(sink.port) as out:
            logger.error("once")
            out.flush(3000)
            logging.getLogger("instrumentation.otlp").error("lost 1 log record")
            logging.getLogger("instrumentation").error("telemetry failed")
            logging.getLogger("opentelemetry.sdk").error("queue full")
            token = otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
            logging.getLogger("http.client").error("while exporting")
            otel_context.detach(token)
            tries = len(sink.tries)
            out.flush(3000)
        assert tries >= 1
        assert len(sink.tries) == tries


def test_what_blocks_the_event_loop_is_exported() -> None:
    """It is a matter of the service, though our logger says it."""
    with http_sink() as sink, pipeline(sink.port) as out:
        logging.getLogger("instrumentation.process").warning("the event loop is blocked")
        out.flush(5000)
        assert len(own(sink)) == 1


def test_a_slow_endpoint_costs_a_bounded_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is dropped, oldest first; who logs does not wait."""
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "10")
    with http_sink() as sink:
        sink.decide = lambda _signal, _body: Answer(delay_s=0.5)
        with pipeline(sink.port) as out:
            begun = time.monotonic()
            for index in range(1000):
                logger.warning("number %d", index)
            assert time.monotonic() - begun < 10
            sink.decide = lambda _signal, _body: Answer()
            out.flush(10_000)
        arrived = [record.body.string_value for record in own(sink)]
    assert arrived[-1] == "number 999"
    assert len(arrived) < 100


def test_a_service_without_logging_still_prints_its_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """Python does so as long as no handler is there, and ours must not count as one."""
    root = logging.getLogger()
    root.handlers.clear()
    handler = OtelHandler(_logs.NoOpLoggerProvider())
    root.addHandler(handler)
    logger.warning("printed once")
    root.setLevel(logging.INFO)
    logger.info("not printed without us either")
    root.addHandler(logging.NullHandler())
    logger.warning("somebody else's now")
    assert capsys.readouterr().err == "printed once\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_sends_its_own_records_and_not_its_parents() -> None:
    """What waited at the fork is the parent's."""
    with http_sink() as sink, pipeline(sink.port) as out:
        logger.error("the parent's")
        child = os.fork()
        if not child:
            logger.error("the child's")
            out.flush(5000)
            os._exit(0)
        os.waitpid(child, 0)
        out.flush(5000)
        wait_for(lambda: len(own(sink)) >= 2, "both records")
        assert sorted(record.body.string_value for record in own(sink)) == ["the child's", "the parent's"]


def test_nothing_is_exported_unless_asked() -> None:
    """No provider, no handler."""
    assert start_logs((), {}, Resource.get_empty) is None
