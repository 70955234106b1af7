"""The walk counts what protobuf would find, and survives whatever else comes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.batch import Signal
from sidecar.receive.errors import MalformedError, TooManyFieldsError
from sidecar.receive.wire import count_items
from tests.support.otlp_requests import items_of, requests, trace_body


@settings(deadline=None, max_examples=70)
@given(requests)
def test_valid_requests_are_counted_as_protobuf_counts_them(made: tuple[Signal, Any]) -> None:
    signal, request = made
    assert count_items(signal, request.SerializeToString()) == len(items_of(signal, request))


@settings(deadline=None, max_examples=30)
@given(requests, requests)
def test_joined_requests_count_as_their_sum(made: tuple[Signal, Any], other: tuple[Signal, Any]) -> None:
    """Joining bytes is what the relay batches by."""
    signal, request = made
    bodies = [request.SerializeToString()]
    if other[0] is signal:
        bodies.append(other[1].SerializeToString())
    assert count_items(signal, b"".join(bodies)) == sum(count_items(signal, body) for body in bodies)


@settings(deadline=None, max_examples=120)
@given(requests, st.data())
def test_mutated_requests_are_counted_or_refused(made: tuple[Signal, Any], data: st.DataObject) -> None:
    signal, request = made
    body = bytearray(request.SerializeToString() or b"\n\0")
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(1, len(body)))])
    with suppress(MalformedError):
        assert count_items(signal, cut) >= 0


@settings(deadline=None, max_examples=120)
@given(st.sampled_from(Signal), st.binary(max_size=60))
def test_random_bytes_are_counted_or_refused(signal: Signal, body: bytes) -> None:
    with suppress(MalformedError):
        assert count_items(signal, body) >= 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\x0a", "truncated at byte 1, the end of the body"),
        (b"\x0a\x05abc", "truncated length-delimited field 1 at byte 0 of ExportRequest"),
        (b"\x0a\x04\x12\x09ab", "truncated length-delimited field 2 at byte 2 of ResourceSpans"),
        (b"\x0a\x06\x12\x04\x12\x7fab", "truncated length-delimited field 2 at byte 4 of ScopeSpans"),
        (b"\x08\x01", "wire type 0 of field 1 at byte 0 of ExportRequest"),
        (b"\x0b\x0c", "impossible tag (field 1, wire type 3) at byte 0 of ExportRequest"),
        (b"\x02\x00", "impossible tag (field 0, wire type 2) at byte 0 of ExportRequest"),
        (b"\x0a" + b"\xff" * 11, "number longer than 10 bytes at byte 1"),
        (b"\x79\x01", "truncated field 15 at byte 0 of ExportRequest"),
        (b"{}", "impossible tag (field 15, wire type 3) at byte 0 of ExportRequest"),
    ],
)
def test_errors_name_the_place(body: bytes, message: str) -> None:
    with pytest.raises(MalformedError) as raised:
        count_items(Signal.TRACES, body)
    assert str(raised.value) == message


def test_unknown_fields_are_stepped_over() -> None:
    unknown = b"\x98\x06\x07" + b"\xa1\x06" + b"8" * 8 + b"\xa5\x06" + b"4" * 4 + b"\xaa\x06\x02ab"
    assert count_items(Signal.TRACES, unknown + trace_body(3) + unknown) == 3


def test_an_empty_body_has_no_items() -> None:
    assert [count_items(signal, b"") for signal in Signal] == [0, 0, 0]


@pytest.mark.parametrize(
    "body",
    [
        trace_body(10),
        b"\x0a\x00" * 13,  # resources with nothing in them
        b"\x78\x00" * 13,  # unknown numbers
        b"\x0a\x16" + b"\x12\x00" * 11,
    ],
    ids=["spans", "empty resources", "unknown fields", "empty scopes"],
)
def test_fields_of_every_kind_are_bounded(body: bytes) -> None:
    count_items(Signal.TRACES, body, 13)
    with pytest.raises(TooManyFieldsError) as raised:
        count_items(Signal.TRACES, body, 9)
    assert str(raised.value) == "more than 9 items and fields beside them; send smaller requests"
