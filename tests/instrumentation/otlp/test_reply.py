from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from instrumentation.otlp.reply import error_words, partial_success

COUNTS = st.integers(0, (1 << 63) - 1)
WORDS = st.text("abc é", max_size=50).map(lambda text: " ".join(text.split()))


@settings(deadline=None)
@given(COUNTS, WORDS)
def test_partial_success_of_every_signal_is_read(rejected: int, words: str) -> None:
    for response in (
        ExportTraceServiceResponse(
            partial_success=ExportTracePartialSuccess(rejected_spans=rejected, error_message=words)
        ),
        ExportMetricsServiceResponse(
            partial_success=ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=words)
        ),
        ExportLogsServiceResponse(
            partial_success=ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=words)
        ),
    ):
        assert partial_success(response.SerializeToString()) == (rejected, words)


def test_a_negative_count_is_no_rejection() -> None:
    response = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=-5))
    assert partial_success(response.SerializeToString()) == (0, "")


@settings(deadline=None)
@given(st.binary(max_size=40) | st.binary(max_size=20).map(lambda tail: b"\x0a\x7f" + tail))
def test_no_body_raises(body: bytes) -> None:
    rejected, words = partial_success(body)
    assert rejected >= 0
    assert words.isprintable()
    assert error_words(body, "application/x-protobuf").isprintable()


def test_unknown_fields_of_every_kind_are_passed_over() -> None:
    known = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=3)).SerializeToString()
    unknown = b"\x50\x96\x01" + b"\x51" + bytes(8) + b"\x55" + bytes(4) + b"\x52\x02hi"
    assert partial_success(unknown + known) == (3, "")
    assert partial_success(b'{"partialSuccess": {}}') == (0, "")


def test_an_errors_words_come_from_a_status_or_from_text() -> None:
    status = b"\x08\x03" + b"\x12\x0bspan\nid \x1bis"
    assert error_words(status, "application/x-protobuf") == "span id is"
    assert error_words(b"no\r\nroute", "text/plain; charset=utf-8") == "no route"
    assert error_words(b'{"message": "bad"}', "application/json") == '{"message": "bad"}'
    assert error_words(b"<html>", "text/html") == ""
    assert len(error_words(b"x" * 100_000, "text/plain")) == 300
