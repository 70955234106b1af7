"""Hand-written answers read, by protobuf itself, as what they mean."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import Parse
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped] # googleapis ships no types
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped] # googleapis ships no types
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from sidecar.batch import Accepted, Refusal, Signal
from sidecar.ledger import Refused
from sidecar.receive.answer import Content, codes, export_response, status_body, status_details

RESPONSES: dict[Signal, tuple[Any, str]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(Signal), st.integers(0, 2**63 - 1), st.text(max_size=300), st.sampled_from(Content))
def test_partial_success_in_both_forms(signal: Signal, rejected: int, message: str, content: Content) -> None:
    message = message.encode(errors="replace").decode()
    kind, field = RESPONSES[signal]
    body = export_response(signal, content, Accepted(rejected, message))
    response = kind.FromString(body) if content is Content.PROTOBUF else Parse(body.decode(), kind())
    assert getattr(response.partial_success, field) == rejected
    assert response.partial_success.error_message == message
    assert response.HasField("partial_success") == bool(rejected or message)


def test_full_success_is_an_empty_message() -> None:
    assert export_response(Signal.LOGS, Content.PROTOBUF, Accepted()) == b""
    assert export_response(Signal.LOGS, Content.JSON, Accepted()) == b"{}"


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=300), st.none() | st.floats(0, 1e6))
def test_status_details(message: str, retry_after_s: float | None) -> None:
    """RetryInfo is there exactly when the sender may try again."""
    message = message.encode(errors="replace").decode()
    status = Status.FromString(status_details(Refusal("busy", message, retry_after_s)))
    assert (status.code, status.message) == (3 if retry_after_s is None else 14, message)
    assert len(status.details) == (0 if retry_after_s is None else 1)
    for detail in status.details:
        info = RetryInfo()
        assert detail.Unpack(info)
        assert info.retry_delay.ToNanoseconds() / 1e9 == pytest.approx(retry_after_s, abs=1e-8)


def test_status_bodies_are_in_the_request_s_form() -> None:
    refusal = Refusal(Refused.MALFORMED, "ein Fehler: „ü“")
    assert Status.FromString(status_body(Content.PROTOBUF, refusal)).message == refusal.message
    assert json.loads(status_body(Content.JSON, refusal)) == {"code": 3, "message": refusal.message}


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (Refusal(Refused.MALFORMED, ""), (400, 3)),
        (Refusal(Refused.TOO_LARGE, ""), (413, 8)),
        (Refusal(Refused.UNSUPPORTED, ""), (415, 12)),
        (Refusal(Refused.INTERRUPTED, ""), (408, 1)),
        (Refusal(Refused.QUEUE_FULL, "", 1), (429, 8)),
        (Refusal(Refused.OVERLOADED, "", 1), (503, 14)),
        (Refusal(Refused.DRAINING, "", 1), (503, 14)),
        (Refusal(Refused.INTERNAL, ""), (500, 13)),
        (Refusal("a stage's own", ""), (400, 3)),
        (Refusal("a stage's own", "", 1), (503, 14)),
    ],
)
def test_every_reason_has_its_codes(refusal: Refusal, expected: tuple[int, int]) -> None:
    assert codes(refusal) == expected
