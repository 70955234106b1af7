from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._internal import _encode_attributes, _encode_value
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope as Scope

from instrumentation.otlp import common

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
LEAVES = (
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats() | TEXT | st.binary(max_size=20)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


def decoded(values: dict[Any, Any]) -> KeyValueList:
    return KeyValueList.FromString(common.attributes(values, b"\x0a"))


def canonical(message: Any) -> bytes:
    """Equal for equal messages, NaN included."""
    return bytes(message.SerializeToString(deterministic=True))


@settings(deadline=None, max_examples=100)
@given(VALUES)
def test_any_value_is_the_stock_encoders(value: Any) -> None:
    assert canonical(AnyValue.FromString(common.any_value(value))) == canonical(_encode_value(value))


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]) | TEXT, VALUES, max_size=5), max_size=5))
def test_attributes_are_the_stock_encoders_whatever_was_encoded_before(several: list[dict[str, Any]]) -> None:
    for values in several:
        assert canonical(decoded(values)) == canonical(KeyValueList(values=_encode_attributes(values)))


@pytest.mark.parametrize("order", [(1, 1.0, True, "1"), (True, 1, "1", 1.0), (0.0, False, 0, "0")])
def test_equal_values_of_different_types_keep_their_types(order: tuple[Any, ...]) -> None:
    for value in (*order, *order):
        assert decoded({"types": value}) == KeyValueList(values=_encode_attributes({"types": value}))


def test_negative_zero_keeps_its_sign() -> None:
    values = [decoded({"zero": value}).values[0].value.double_value for value in (0.0, -0.0)]
    assert [math.copysign(1, value) for value in values] == [1, -1]


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1, 10**30])
def test_integers_beyond_64_bits_become_their_decimal_string(value: int) -> None:
    assert decoded({"n": value}).values[0].value == AnyValue(string_value=str(value))


def test_an_integer_python_will_not_print_becomes_hexadecimal() -> None:
    value = 1 << 100_000
    assert decoded({"n": value}).values[0].value.string_value == hex(value)


def test_lone_surrogates_in_key_and_value_become_question_marks() -> None:
    [pair] = decoded({"k\udcff": "v\ud83d"}).values
    assert (pair.key, pair.value.string_value) == ("k?", "v?")


class _Colour(StrEnum):
    RED = "red"


class _Level(IntEnum):
    HIGH = 3


class _Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (_Colour.RED, AnyValue(string_value="red")),
        (_Level.HIGH, AnyValue(int_value=3)),
        (
            {
                1,
            },
            AnyValue(string_value="{1}"),
        ),
        (_Unprintable(), AnyValue(string_value="<_Unprintable>")),
    ],
)
def test_values_of_other_types_become_the_nearest_known_one(value: Any, message: AnyValue) -> None:
    assert decoded({"x": value}).values[0].value == message


class _Plain(Mapping[str, Any]):
    """A foreign mapping with no more than it must have."""

    def __getitem__(self, key: str) -> Any:
        return {"a": 1}[key]

    def __iter__(self) -> Iterator[str]:
        return iter("a")

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("values", [_Plain(), MappingProxyType(_Plain()), {"a": 1}])
def test_any_mapping_will_do(values: Mapping[str, Any]) -> None:
    assert KeyValueList.FromString(common.attributes(values, b"\x0a")) == decoded({"a": 1})


def test_keys_that_are_no_strings_become_strings() -> None:
    """The SDK does not clean the attributes of metrics."""
    pairs = decoded({1: "int", 2: 3, None: 0.5, "1": False}).values
    assert [pair.key for pair in pairs] == ["1", "2", "None", "1"]


def test_caches_are_bounded_by_keys_values_and_length() -> None:
    for number in range(5000):
        common.attributes({f"key {number}": "v", "user.id": f"user {number}", "long": "x" * number}, b"\x0a")
    assert len(common._texts) <= common._MAX_KEYS
    assert len(common._texts["user.id"]) <= common._MAX_VALUES
    assert all(len(value) <= common._MAX_TEXT for values in common._texts.values() for value in values)


def test_no_attributes_are_no_bytes() -> None:
    assert common.attributes(None, b"\x0a") == common.attributes({}, b"\x0a") == b""


def test_resource_bytes_follow_the_object_not_its_address() -> None:
    """A dropped resource's identity may be given to a new one; the cache must never mix them up."""
    for number in range(50):
        encoded = common.encode_resource(Resource({"service.name": f"service {number}"}))
        [pair] = ResourceMessage.FromString(encoded).attributes
        assert pair.value.string_value == f"service {number}"
    assert len(common._resources) <= common._MAX_RESOURCES


def test_scopes_of_one_name_and_different_attributes_differ() -> None:
    first, second = (
        InstrumentationScope.FromString(common.encode_scope(Scope("s", "1", attributes={"n": n}))) for n in (1, 2)
    )
    assert (first.name, first.version) == ("s", "1")
    assert first.attributes[0].value.int_value + 1 == second.attributes[0].value.int_value
    assert common.encode_scope(None) == b""
