"""The scraper's Accept header decides the format and the escaping of names."""

from __future__ import annotations

import pytest

from sidecar.bridge.escaping import Escaping
from sidecar.bridge.negotiate import OPENMETRICS, PROTOBUF, TEXT, Format, negotiate

OM = "application/openmetrics-text"
PB = "application/vnd.google.protobuf"
PB_DELIMITED = f"{PB};proto=io.prometheus.client.MetricFamily;encoding=delimited"
PROMETHEUS_2 = f"{OM};version=1.0.0,{OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_2_NATIVE = f"{PB_DELIMITED},{OM};version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = (
    f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.6,{OM};version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_NATIVE = f"{PB_DELIMITED};q=0.7,{PROMETHEUS_3}"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
        (OM, OPENMETRICS),
        (f"{OM};version=1.0.0", OPENMETRICS),
        (f'{OM}; version="1.0.0"; charset=utf-8', OPENMETRICS),
        (f"{OM};version=2.0.0", TEXT),
        (f"{OM};version=2.0.0,{OM};version=1.0.0;q=0.5,*/*;q=0.1", OPENMETRICS),
        (f"{OM};q=0.4,text/plain;q=0.5", TEXT),
        (f"{OM};q=0.5,text/plain;q=0.4", OPENMETRICS),
        (f"{OM},text/plain", TEXT),
        (f"{OM};q=0", TEXT),
        ("text/plain;q=0, */*", OPENMETRICS),
        ("text/*;q=0.2, application/*;q=0.3", OPENMETRICS),
        ("application/json", TEXT),
        (f"{OM};q=high", TEXT),
        (";;,,", TEXT),
        (PB_DELIMITED, PROTOBUF),
        (PB, PROTOBUF),
        (f"{PB};proto=io.prometheus.client.MetricFamily;encoding=text", TEXT),
        (f"{PB};proto=other;encoding=delimited,{OM};q=0.1", OPENMETRICS),
        (f"{PB_DELIMITED};q=0.2,text/plain;q=0.3", TEXT),
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_2_NATIVE, PROTOBUF),
        (PROMETHEUS_3, OPENMETRICS),
        (PROMETHEUS_3_NATIVE, PROTOBUF),
        ("text/plain;version=1.0.0;escaping=allow-utf8", TEXT),
    ],
)
def test_formats(accept: str, expected: Format) -> None:
    assert negotiate(accept).format is expected


@pytest.mark.parametrize(
    ("accept", "escaping", "content_type"),
    [
        ("", Escaping.UNDERSCORES, "text/plain; version=0.0.4; charset=utf-8"),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            Escaping.UTF8,
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
        (
            "text/plain;escaping=allow-utf8",
            Escaping.UTF8,
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
        (
            "text/plain;version=0.0.4;escaping=values",
            Escaping.VALUES,
            "text/plain; version=0.0.4; charset=utf-8; escaping=values",
        ),
        (
            f"{OM};version=1.0.0;escaping=dots",
            Escaping.DOTS,
            f"{OM}; version=1.0.0; charset=utf-8; escaping=dots",
        ),
        (
            f"{OM};escaping=unheard-of",
            Escaping.UNDERSCORES,
            f"{OM}; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            PROMETHEUS_3_NATIVE,
            Escaping.UNDERSCORES,
            f"{PB}; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        ),
        (
            f"{PB_DELIMITED};escaping=allow-utf-8",
            Escaping.UTF8,
            f"{PB}; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=allow-utf-8",
        ),
        (PROMETHEUS_3, Escaping.UTF8, f"{OM}; version=1.0.0; charset=utf-8; escaping=allow-utf-8"),
    ],
)
def test_escaping_is_the_chosen_formats_and_the_reply_says_so(
    accept: str, escaping: Escaping, content_type: str
) -> None:
    choice = negotiate(accept)
    assert (choice.escaping, choice.content_type) == (escaping, content_type)
