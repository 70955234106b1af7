"""The scraper's Accept header decides the format."""

from __future__ import annotations

import pytest

from sidecar.bridge.negotiate import OPENMETRICS, TEXT, Format, negotiate

OM = "application/openmetrics-text"
PROMETHEUS_2 = f"{OM};version=1.0.0,{OM};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    f"{OM};version=1.0.0;escaping=allow-utf-8;q=0.5,{OM};version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


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
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        ("text/plain;version=1.0.0;escaping=allow-utf8", TEXT),
    ],
)
def test_formats(accept: str, expected: Format) -> None:
    assert negotiate(accept) is expected
