"""Names beyond ASCII become names that older scrapers read, by the scheme they ask for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.bridge.escaping import Escaping, escaped_label, escaped_metric, quoted


@pytest.mark.parametrize(
    ("name", "underscores", "dots", "values"),
    [
        # Prometheus, "UTF-8 metric and label name escaping schemes"
        ("http_requests_total", "http_requests_total", "http_requests_total", "http_requests_total"),
        ("http.status:sum", "http_status:sum", "http_dot_status:sum", "U__http_2e_status:sum"),
        ("mysystem.prod.x_y", "mysystem_prod_x_y", "mysystem_dot_prod_dot_x__y", "U__mysystem_2e_prod_2e_x__y"),
        ("label with 😱", "label_with__", "label__with____", "U__label_20_with_20__1f631_"),
        ("9lives", "_lives", "__lives", "U___39_lives"),
    ],
)
def test_schemes(name: str, underscores: str, dots: str, values: str) -> None:
    assert escaped_metric(name, Escaping.UTF8) == name
    assert escaped_metric(name, Escaping.UNDERSCORES) == underscores
    assert escaped_metric(name, Escaping.DOTS) == dots
    assert escaped_metric(name, Escaping.VALUES) == values


@given(st.text(min_size=1, max_size=12), st.sampled_from([scheme for scheme in Escaping if scheme != Escaping.UTF8]))
@settings(deadline=None, max_examples=200)
def test_every_scraper_can_read_an_escaped_name(name: str, scheme: Escaping) -> None:
    assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", escaped_metric(name, scheme))
    assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", escaped_label(name, scheme))


def test_quotes_hide_what_would_end_them() -> None:
    assert quoted('a"b\\c\nd') == r'"a\"b\\c\nd"'
