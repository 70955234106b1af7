from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http._common import _resolve_timeout
from opentelemetry.util.re import parse_env_headers

from instrumentation.otlp.settings import (
    Compression,
    HistogramKind,
    OtlpSettings,
    OtlpSignal,
    Protocol,
    Temporality,
)

DEFAULT = "http://localhost:4318/v1/traces"


def read(signal: OtlpSignal = OtlpSignal.TRACES, /, **options: str) -> OtlpSettings:
    environ = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in options.items()}
    return OtlpSettings.read(environ, signal)


@pytest.mark.parametrize("signal", list(OtlpSignal))
def test_an_empty_environment_means_the_specifications_defaults(signal: OtlpSignal) -> None:
    got = read(signal)
    assert str(got.endpoint) == f"http://localhost:4318/v1/{signal}"
    assert (got.timeout_s, got.compression, got.protocol) == (10.0, Compression.NONE, Protocol.HTTP_PROTOBUF)
    assert (got.temporality, got.histogram) == (Temporality.CUMULATIVE, HistogramKind.EXPLICIT)
    assert (got.certificate, got.client_certificate, got.client_key) == (None, None, None)
    assert (got.headers, got.problems) == ((), ())


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"ENDPOINT": "http://c:1"}, "http://c:1/v1/traces"),
        ({"ENDPOINT": "http://c:1/"}, "http://c:1/v1/traces"),
        ({"ENDPOINT": "https://c/base/"}, "https://c/base/v1/traces"),
        ({"TRACES_ENDPOINT": "http://t:2"}, "http://t:2/"),
        ({"TRACES_ENDPOINT": "http://t:2/own", "ENDPOINT": "http://c:1"}, "http://t:2/own"),
        ({"TRACES_ENDPOINT": " ", "ENDPOINT": "http://[::1]:1"}, "http://[::1]:1/v1/traces"),
        ({"METRICS_ENDPOINT": "http://m:3"}, "http://localhost:4318/v1/traces"),
    ],
)
def test_the_general_endpoint_is_a_base_and_the_signals_own_is_used_as_it_is(options: dict[str, str], url: str) -> None:
    got = read(**options)
    assert str(got.endpoint) == url
    assert not got.problems


def test_a_signals_own_variables_win() -> None:
    general = {"TIMEOUT": "3", "COMPRESSION": "gzip", "HEADERS": "a=1", "CERTIFICATE": "/ca", "CLIENT_KEY": "/key"}
    own = {
        "TRACES_TIMEOUT": "0.5",
        "TRACES_COMPRESSION": "deflate",
        "TRACES_HEADERS": "b=2",
        "TRACES_CERTIFICATE": "/t",
    }
    traces, metrics = read(**general, **own), read(OtlpSignal.METRICS, **general, **own)
    assert (traces.timeout_s, traces.compression, traces.headers) == (0.5, Compression.DEFLATE, (("b", "2"),))
    assert (traces.certificate, traces.client_key) == ("/t", "/key")
    assert (metrics.timeout_s, metrics.compression, metrics.headers) == (3.0, Compression.GZIP, (("a", "1"),))


def test_the_timeout_is_in_seconds_as_in_the_stock_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The specification says milliseconds; services move between the two exporters with one environment."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2.5")
    assert read(TIMEOUT="2.5").timeout_s == _resolve_timeout("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT") == 2.5
    [problem] = read(TIMEOUT="10000").problems
    assert problem.startswith("OTEL_EXPORTER_OTLP_TIMEOUT='10000': taken as seconds")


def test_metric_preferences_ignore_case() -> None:
    got = read(
        OtlpSignal.METRICS,
        METRICS_TEMPORALITY_PREFERENCE="Delta",
        METRICS_DEFAULT_HISTOGRAM_AGGREGATION="BASE2_exponential_bucket_histogram",
    )
    assert (got.temporality, got.histogram) == (Temporality.DELTA, HistogramKind.EXPONENTIAL)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"ENDPOINT": "c:4318"},
            f"OTEL_EXPORTER_OTLP_ENDPOINT='c:4318': it does not begin with http:// or https://; {DEFAULT} is used",
        ),
        (
            {"TRACES_ENDPOINT": "http://:4318"},
            f"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT='http://:4318': it names no host; {DEFAULT} is used",
        ),
        (
            {"TIMEOUT": "soon"},
            "OTEL_EXPORTER_OTLP_TIMEOUT='soon': it is no number of seconds between 0 and a day; 10.0 is used",
        ),
        (
            {"TRACES_TIMEOUT": "-1"},
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT='-1': it is no number of seconds between 0 and a day; 10.0 is used",
        ),
        (
            {"COMPRESSION": "zstd"},
            "OTEL_EXPORTER_OTLP_COMPRESSION='zstd': it is none of none, gzip, deflate; none is used",
        ),
        (
            {"PROTOCOL": "http"},
            "OTEL_EXPORTER_OTLP_PROTOCOL='http': it is none of http/protobuf, http/json, grpc; http/protobuf is used",
        ),
        (
            {"HEADERS": "novalue"},
            "OTEL_EXPORTER_OTLP_HEADERS: entry 1 is not name=value; it is left out",
        ),
        (
            {"HEADERS": "a=1,b%00=2"},
            "OTEL_EXPORTER_OTLP_HEADERS: entry 2 is not name=value; it is left out",
        ),
        (
            {"HEADERS": "token=secret%0d%0aX:y"},
            "OTEL_EXPORTER_OTLP_HEADERS: header 'token' has control characters in its value; it is left out",
        ),
        (
            {"HEADERS": "Content-Type=text/plain"},
            "OTEL_EXPORTER_OTLP_HEADERS: header 'content-type' is the exporter's own; it is left out",
        ),
    ],
)
def test_a_wrong_value_is_said_and_the_default_taken(options: dict[str, str], sentence: str) -> None:
    got = read(**options)
    assert got.problems == (sentence,)
    assert got.endpoint == read().endpoint
    assert (got.timeout_s, got.compression, got.protocol) == (10.0, Compression.NONE, Protocol.HTTP_PROTOBUF)


def test_secrets_are_never_shown() -> None:
    got = read(ENDPOINT="ftp://user:secret@host", HEADERS="authorization=Bearer secret,x=sec\x00ret")
    assert "secret" not in "".join(got.problems) + repr(got) + str(got.endpoint)
    held = read(ENDPOINT="http://user:se%63ret@host:1?key=secret")
    assert "secret" not in repr(held.headers) + str(held.endpoint)
    assert held.endpoint.authorization == "Basic dXNlcjpzZWNyZXQ="
    assert (held.endpoint.authority, held.endpoint.target) == ("host:1", "/v1/traces?key=secret")


HEADER = st.tuples(
    st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True).filter(lambda n: n.lower() != "host"),
    st.text("abc %=~é09", max_size=8),
)


@settings(deadline=None)
@given(st.lists(HEADER, max_size=4, unique_by=lambda pair: pair[0].lower()), st.sampled_from([",", " , "]))
def test_headers_are_read_as_by_the_stock_exporter(pairs: list[tuple[str, str]], comma: str) -> None:
    """But for control characters, with which it would fail at each export."""
    for listing in (
        comma.join(f"{name}={quote(value)}" for name, value in pairs),
        comma.join(f"{name}={value.encode('ascii', 'ignore').decode()}" for name, value in pairs),
    ):
        stock = parse_env_headers(listing.strip(), liberal=True)
        assert dict(read(HEADERS=listing).headers) == {
            name: value for name, value in stock.items() if value.isprintable()
        }


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["ENDPOINT", "TRACES_ENDPOINT", "TIMEOUT", "HEADERS", "COMPRESSION", "PROTOCOL"]), st.text()
    )
)
def test_no_environment_stops_a_service(options: dict[str, str]) -> None:
    assert read(**options).timeout_s > 0
