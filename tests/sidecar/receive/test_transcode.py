"""OTLP/JSON becomes the bytes that the same request would have been in protobuf."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.batch import Signal
from sidecar.receive import transcode as room
from sidecar.receive.errors import MalformedError, TooLargeError
from sidecar.receive.transcode import transcode
from tests.support.otlp_requests import REQUESTS, requests

_IDS = {"traceId", "spanId", "parentSpanId"}


def _otlp(document: Any) -> Any:
    """ProtoJSON with OTLP's one difference: ids are hex."""
    if isinstance(document, dict):
        return {key: base64.b64decode(value).hex() if key in _IDS else _otlp(value) for key, value in document.items()}
    return [_otlp(item) for item in document] if isinstance(document, list) else document


def _span(fields: str) -> bytes:
    return f'{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}'.encode()


def _read(fields: str) -> Any:
    request = REQUESTS[Signal.TRACES].FromString(transcode(Signal.TRACES, _span(fields)))
    return request.resource_spans[0].scope_spans[0].spans[0]


@settings(deadline=None, max_examples=60)
@given(requests)
def test_json_and_protobuf_of_one_request_are_the_same(made: tuple[Signal, Any]) -> None:
    signal, request = made
    document = _otlp(MessageToDict(request, use_integers_for_enums=True))
    assert REQUESTS[signal].FromString(transcode(signal, json.dumps(document).encode())) == request


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(Signal), st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode()))
def test_anything_else_is_an_error_of_ours(signal: Signal, body: bytes) -> None:
    with suppress(MalformedError):
        assert isinstance(transcode(signal, body), bytes)


def test_64_bit_numbers_may_be_text_or_numbers() -> None:
    span = _read('"startTimeUnixNano": "18446744073709551615", "endTimeUnixNano": 1760000000000000001, "flags": 1.0')
    assert (span.start_time_unix_nano, span.end_time_unix_nano, span.flags) == (2**64 - 1, 1760000000000000001, 1)


def test_doubles_may_be_words() -> None:
    values = ",".join(f'{{"doubleValue": {value}}}' for value in ('"Infinity"', '"-Infinity"', '"1.5"', "2"))
    span = _read(f'"attributes": [{{"key": "a", "value": {{"arrayValue": {{"values": [{values}]}}}}}}]')
    assert [v.double_value for v in span.attributes[0].value.array_value.values] == [
        float("inf"),
        -float("inf"),
        1.5,
        2,
    ]


def test_ids_are_hex_in_either_case_and_bytes_are_either_base64() -> None:
    values = '{"key": "a", "value": {"bytesValue": "-_8"}}, {"key": "b", "value": {"bytesValue": "+/8="}}'
    span = _read(f'"traceId": "5B8EFFF798038103D269B633813FC60C", "attributes": [{values}]')
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert [attribute.value.bytes_value for attribute in span.attributes] == [b"\xfb\xff"] * 2


def test_unknown_keys_and_nulls_are_ignored_and_proto_names_are_unknown() -> None:
    span = _read('"name": "n", "colour": {"deep": [1]}, "status": null, "trace_id": "zz", "kind": 2')
    assert (span.name, span.kind, span.trace_id, span.HasField("status")) == ("n", 2, b"", False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "document: [] is not an object"),
        (b"null", "document: None is not an object"),
        (
            _span('"kind": "SPAN_KIND_SERVER"'),
            "kind: 'SPAN_KIND_SERVER' is not an integer (OTLP/JSON has no enum names)",
        ),
        (_span('"traceId": "xyz"'), "traceId: 'xyz' is not hexadecimal"),
        (_span('"name": 5'), "name: 5 is not a string"),
        (_span('"startTimeUnixNano": 1.5'), "startTimeUnixNano: 1.5 is not an integer"),
        (_span('"startTimeUnixNano": true'), "startTimeUnixNano: True is not an integer"),
        (_span('"attributes": {}'), "attributes: {} is not an array"),
        (
            _span('"startTimeUnixNano": "-1"'),
            "startTimeUnixNano: '-1' is not a value its field can have (Value out of range: -1)",
        ),
        (
            _span('"attributes": [{"value": {"bytesValue": "*"}}]'),
            "attributes[0].value.bytesValue: '*' is not base64",
        ),
        (_span('"attributes": [{"value": {"boolValue": 1}}]'), "attributes[0].value.boolValue: 1 is not true or false"),
        (
            _span('"attributes": [{"value": {"doubleValue": "x"}}]'),
            "attributes[0].value.doubleValue: 'x' is not a number",
        ),
    ],
)
def test_errors_name_the_key_and_the_value(body: bytes, message: str) -> None:
    with pytest.raises(MalformedError) as raised:
        transcode(Signal.TRACES, body)
    prefix = "resourceSpans[0].scopeSpans[0].spans[0]."
    assert str(raised.value) == (message if message.startswith("document") else prefix + message)


def test_broken_json_names_the_byte() -> None:
    with pytest.raises(MalformedError, match=r"not JSON: .*byte 1"):
        transcode(Signal.TRACES, b"{resourceSpans}")


def test_nesting_is_bounded_for_json_and_for_messages() -> None:
    deep = '{"arrayValue": {"values": [' * 60 + "{}" + "]}}" * 60
    with pytest.raises(MalformedError, match="nested deeper than 100 messages"):
        transcode(Signal.TRACES, _span(f'"attributes": [{{"value": {deep}}}]'))
    with pytest.raises(MalformedError, match="nested too deeply"):
        transcode(Signal.TRACES, b"[" * 100_000)


def test_documents_are_bounded_by_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLargeError, match="250000 objects"):
        transcode(Signal.TRACES, b'{"resourceSpans":[' + b"{}," * 250_000 + b"{}]}")
    monkeypatch.setattr(room, "MAX_BYTES", 10)
    with pytest.raises(TooLargeError, match="JSON of 11 bytes: at most 10 bytes"):
        transcode(Signal.TRACES, b"{         }")
