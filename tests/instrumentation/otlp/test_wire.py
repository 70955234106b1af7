from __future__ import annotations

import pytest
from google.protobuf.internal import encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

from instrumentation.otlp import wire


@settings(deadline=None, max_examples=200)
@given(st.integers(0, wire.UINT64) | st.integers(0, 20000))
def test_varint_is_protobufs(value: int) -> None:
    assert wire.varint(value) == encoder._VarintBytes(value)  # type: ignore[attr-defined] # it has no stub


@settings(deadline=None)
@given(st.integers(wire.INT64_MIN, -1))
def test_negative_varints_are_twos_complement(value: int) -> None:
    assert wire.varint(value) == encoder._VarintBytes(value + (1 << 64))  # type: ignore[attr-defined] # it has no stub


@pytest.mark.parametrize("value", [wire.UINT64 + 1, wire.INT64_MIN - 1])
def test_varint_beyond_64_bits_is_refused(value: int) -> None:
    with pytest.raises(OverflowError, match="does not fit a 64-bit varint"):
        wire.varint(value)


@settings(deadline=None)
@given(st.integers(-(1 << 31), (1 << 31) - 1))
def test_zigzag_is_protobufs(value: int) -> None:
    message = ExponentialHistogramDataPoint.FromString(b"\x30" + wire.zigzag(value))
    assert message.scale == value


def test_text_without_utf8_form_keeps_what_it_can() -> None:
    assert wire.utf8("a\ud800b") == b"a?b"


def test_empty_fields_are_left_out() -> None:
    assert wire.text(b"\x0a", None) == wire.text(b"\x0a", "") == b""
    assert wire.packed_fixed64(b"\x0a", ()) == wire.packed_doubles(b"\x0a", ()) == b""
