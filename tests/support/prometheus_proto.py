"""Prometheus' protobuf messages from their public field numbers (prometheus/client_model), to read what we write."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

_F: Final = descriptor_pb2.FieldDescriptorProto
_TIME: Final = "google.protobuf.Timestamp"
# (number, name, type); "*" is repeated, a capital is a message of the same package.
_MESSAGES: Final = {
    "LabelPair": ("1 name string", "2 value string"),
    "Gauge": ("1 value double",),
    "Counter": ("1 value double", "2 exemplar Exemplar", "3 created_timestamp TIME"),
    "Quantile": ("1 quantile double", "2 value double"),
    "Summary": ("1 sample_count uint64", "2 sample_sum double", "3 quantile *Quantile", "4 created_timestamp TIME"),
    "Untyped": ("1 value double",),
    "Histogram": (
        "1 sample_count uint64",
        "2 sample_sum double",
        "3 bucket *Bucket",
        "5 schema sint32",
        "6 zero_threshold double",
        "7 zero_count uint64",
        "9 negative_span *BucketSpan",
        "10 negative_delta *sint64",
        "12 positive_span *BucketSpan",
        "13 positive_delta *sint64",
        "15 created_timestamp TIME",
        "16 exemplars *Exemplar",
    ),
    "Bucket": ("1 cumulative_count uint64", "2 upper_bound double", "3 exemplar Exemplar"),
    "BucketSpan": ("1 offset sint32", "2 length uint32"),
    "Exemplar": ("1 label *LabelPair", "2 value double", "3 timestamp TIME"),
    "Metric": (
        "1 label *LabelPair",
        "2 gauge Gauge",
        "3 counter Counter",
        "4 summary Summary",
        "5 untyped Untyped",
        "7 histogram Histogram",
        "6 timestamp_ms int64",
    ),
    "MetricFamily": ("1 name string", "2 help string", "3 type int32", "4 metric *Metric", "5 unit string"),
}
COUNTER, GAUGE, SUMMARY, HISTOGRAM = 0, 1, 2, 4


def _made() -> Any:
    package = "io.prometheus.client"
    file = descriptor_pb2.FileDescriptorProto(
        name="prometheus_client_for_tests.proto", package=package, syntax="proto2", dependency=[_TIMESTAMP_FILE]
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, written in (line.split() for line in fields):
            repeated, kind = written.startswith("*"), written.lstrip("*")
            added = message.field.add(
                name=field, number=int(number), label=_F.LABEL_REPEATED if repeated else _F.LABEL_OPTIONAL
            )
            if kind == "TIME" or kind[0].isupper():
                added.type = _F.TYPE_MESSAGE
                added.type_name = f".{_TIME}" if kind == "TIME" else f".{package}.{kind}"
            else:
                added.type = getattr(_F, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.MetricFamily"))


_TIMESTAMP_FILE: Final = timestamp_pb2.DESCRIPTOR.name
MetricFamily: Final = _made()


def parse_protobuf(body: bytes) -> list[Any]:
    """The families of a delimited exposition; raises for what is none, and for fields that the format does not have."""
    found, at = [], 0
    while at < len(body):
        length, at = _varint(body, at)
        family = MetricFamily.FromString(body[at : at + length])
        known = MetricFamily.FromString(body[at : at + length])
        known.DiscardUnknownFields()
        assert known.ByteSize() == family.ByteSize(), f"{family.name} has fields that Prometheus does not know"
        found.append(family)
        at += length
    assert at == len(body)
    return found


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while body[at] & 0x80:
        value |= (body[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | body[at] << shift, at + 1
