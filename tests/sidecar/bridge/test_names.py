"""OTel names become Prometheus names as the compatibility spec 1.60 says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import semconv
from sidecar.bridge.escaping import Escaping
from sidecar.bridge.model import Family, Kind
from sidecar.bridge.names import Naming, Translation, label_name, labels, metric_name, scope_labels, unit_word

C, U, G, H = Kind.COUNTER, Kind.UPDOWN, Kind.GAUGE, Kind.HISTOGRAM

NAMES = [
    # name, kind, unit → Prometheus name
    ("http.server.request.duration", H, "s", "http_server_request_duration_seconds"),
    ("http.server.active_requests", U, "{request}", "http_server_active_requests"),
    ("http.server.request.body.size", H, "By", "http_server_request_body_size_bytes"),
    ("ml.predictions", C, "{prediction}", "ml_predictions_total"),
    ("process.cpu.time", C, "s", "process_cpu_time_seconds_total"),
    # a suffix that is there is not repeated
    ("requests_total", C, "", "requests_total"),
    ("wait.seconds", H, "s", "wait_seconds"),
    ("busy_seconds_total", C, "s", "busy_seconds_total"),
    ("busy_total", C, "s", "busy_seconds_total"),
    ("seconds", G, "s", "seconds"),
    ("total", C, "", "total"),
    ("kiloseconds", G, "s", "kiloseconds_seconds"),
    # units
    ("x", G, "1", "x_ratio"),
    ("x", C, "1", "x_total"),
    ("x", U, "1", "x"),
    ("x", G, "%", "x_percent"),
    ("x", G, "m/s", "x_meters_per_second"),
    ("x", G, "By/min", "x_bytes_per_minute"),
    ("x", G, "{request}/s", "x_per_second"),
    ("x", G, "By/{request}", "x_bytes"),
    ("x", G, "{}", "x"),
    ("x", G, "ms{really}", "x_milliseconds"),
    ("x", G, "Cel", "x_celsius"),
    ("x", G, "KiBy", "x_kibibytes"),
    ("x", G, "furlong", "x_furlong"),
    ("x", G, "k$/h", "x_k_per_hour"),
    ("x", G, "a.b", "x_a_b"),
    # characters
    ("a.b-c/d e", G, "", "a_b_c_d_e"),
    ("a..b__c", G, "", "a_b_c"),
    ("a:b", G, "", "a:b"),
    ("über.wert", G, "", "_ber_wert"),
    ("名前", G, "", "_"),
    ("名前", C, "s", "_seconds_total"),
    ("2xx", G, "", "_2xx"),
    ("trailing.", C, "", "trailing_total"),
    ("_private", G, "", "_private"),
]


@pytest.mark.parametrize(("name", "kind", "unit", "expected"), NAMES)
def test_metric_names(name: str, kind: Kind, unit: str, expected: str) -> None:
    assert metric_name(name, kind, unit) == expected


@given(st.text(max_size=20), st.sampled_from(Kind), st.text(alphabet="{}/%1sBy .é", max_size=8))
@settings(deadline=None, max_examples=200)
def test_every_name_is_valid(name: str, kind: Kind, unit: str) -> None:
    made = metric_name(name, kind, unit)
    assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", made)
    assert "__" not in made
    assert re.fullmatch(r"[a-zA-Z0-9_]*", unit_word(unit, kind))


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=5), max_size=5))
@settings(deadline=None, max_examples=200)
def test_every_label_is_valid_and_there_once(attributes: dict[str, str]) -> None:
    made = labels(attributes.items(), G)
    assert len(dict(made)) == len(made)
    assert all(re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) and "__" not in name for name, _ in made)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([("http.route", "/x")], [("http_route", "/x")]),
        ([("b", "2"), ("a", "1")], [("a", "1"), ("b", "2")]),
        ([("a.b", "1"), ("a_b", "2")], [("a_b", "1;2")]),  # by the order of the original keys
        ([("a_b", "2"), ("a.b", "1"), ("a-b", "0")], [("a_b", "0;1;2")]),
        ([("1st", "x")], [("key_1st", "x")]),
        ([("empty", "")], []),
        ([("__name__", "x")], [("_name_", "x")]),
    ],
)
def test_labels(attributes: list[tuple[str, str]], expected: list[tuple[str, str]]) -> None:
    assert list(labels(attributes, G)) == expected


def test_an_attribute_gives_way_to_the_formats_own_label() -> None:
    assert labels([("le", "1")], H) == (("exported_le", "1"),)
    assert labels([("le", "1")], C) == (("le", "1"),)
    assert labels([("quantile", "1")], Kind.SUMMARY) == (("exported_quantile", "1"),)


def test_the_scope_becomes_labels_and_its_attributes_cannot_hide_it() -> None:
    family = Family(
        "x",
        G,
        scope=("lib", "1.0"),
        scope_attributes=(("name", "other"), ("team.id", "ml")),
        schema_url="https://schema",
    )
    assert dict(scope_labels(family)) == {
        "otel_scope_name": "lib",
        "otel_scope_version": "1.0",
        "otel_scope_schema_url": "https://schema",
        "otel_scope_team.id": "ml",
    }


def test_the_registry_has_no_name_that_surprises() -> None:
    """No `_ratio` trap, and one Prometheus name per metric."""
    kinds = {"counter": C, "updowncounter": U, "gauge": G, "histogram": H}
    names = [metric_name(one.name, kinds[one.instrument], one.unit) for one in semconv.METRICS]
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.endswith("_ratio")]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # name, kind, unit → UnderscoreEscapingWithoutSuffixes, NoUTF8EscapingWithSuffixes
        (("http.request.duration", H, "s"), ("http_request_duration", "http.request.duration_seconds")),
        (("ml.predictions", C, "{prediction}"), ("ml_predictions", "ml.predictions_total")),
        (("jobs.total", C, ""), ("jobs_total", "jobs_total")),
        (("busy_total", C, "s"), ("busy_total", "busy_seconds_total")),
        (("wait.seconds", H, "s"), ("wait_seconds", "wait.seconds")),
        (("x", G, "1"), ("x", "x_ratio")),
        (("a..b", G, ""), ("a_b", "a..b")),
        (("2xx", G, ""), ("_2xx", "2xx")),
    ],
)
def test_translation_strategies(metric: tuple[str, Kind, str], expected: tuple[str, str]) -> None:
    """Prometheus exporter spec, "Configuration", `translation_strategy`."""
    made = {one: metric_name(*metric, Naming(one, Escaping.UTF8)) for one in Translation}
    assert made == {
        Translation.UNDERSCORES: metric_name(*metric),
        Translation.UNDERSCORES_ONLY: expected[0],
        Translation.UTF8: expected[1],
        Translation.NONE: metric[0],
    }


def test_what_the_scraper_cannot_read_is_escaped_whatever_the_strategy() -> None:
    """Prometheus exporter spec: content negotiation takes precedence over the strategy."""
    plain = Naming(Translation.NONE, Escaping.UNDERSCORES)
    assert metric_name("http.duration", H, "s", plain) == "http_duration"
    assert labels([("a.b", "1"), ("a_b", "2")], G, plain) == (("a_b", "1;2"),)
    assert labels([("a.b", "1"), ("a_b", "2")], G, Naming(Translation.NONE, Escaping.UTF8)) == (
        ("a.b", "1"),
        ("a_b", "2"),
    )
    assert label_name("a.b", Naming(Translation.UTF8, Escaping.DOTS)) == "a_dot_b"


def test_an_attribute_never_renames_its_series() -> None:
    assert label_name("__name__", Naming(Translation.NONE, Escaping.UTF8)) == "_name_"
