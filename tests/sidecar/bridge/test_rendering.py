"""Both text formats say the same, as Prometheus' own parsers read them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric as Parsed

from sidecar.bridge import openmetrics, text
from sidecar.bridge.model import Exemplar, ExponentialValue, HistogramValue, SummaryValue
from sidecar.bridge.prom import Metric, Row, Type
from tests.support.prometheus import parse_openmetrics, parse_text

METRICS = (
    Metric(
        "cats_total", Type.COUNTER, 'Cats "seen"\nso far \\o/', "", (Row((("kind", 'a"b\\c\nd'),), 3, 1_500_000_000),)
    ),
    Metric(
        "lag_seconds",
        Type.HISTOGRAM,
        "",
        "seconds",
        (
            Row(
                (("route", "/x"),),
                HistogramValue((0.1, 1.0), (1, 0, 2), 7.25, 3, (Exemplar(5.0, 2_250_000_000, "ab", "cd"),)),
                1_000_000_000,
            ),
        ),
    ),
    Metric("sizes", Type.SUMMARY, "Sizes.", "", (Row((), SummaryValue(3.5, 2)),)),
    Metric("target_info", Type.INFO, "Target metadata", "", (Row((("service_name", "x"),), 1),)),
    Metric("warm_seconds", Type.GAUGE, "", "seconds", (Row((), math.nan), Row((("a", "b"),), -1.5))),
)

TEXT = """\
# HELP cats_total Cats "seen"\\nso far \\\\o/
# TYPE cats_total counter
cats_total{kind="a\\"b\\\\c\\nd"} 3
# TYPE lag_seconds histogram
lag_seconds_bucket{route="/x",le="0.1"} 1
lag_seconds_bucket{route="/x",le="1.0"} 1
lag_seconds_bucket{route="/x",le="+Inf"} 3
lag_seconds_sum{route="/x"} 7.25
lag_seconds_count{route="/x"} 3
# HELP sizes Sizes.
# TYPE sizes summary
sizes_sum 3.5
sizes_count 2
# HELP target_info Target metadata
# TYPE target_info gauge
target_info{service_name="x"} 1
# TYPE warm_seconds gauge
warm_seconds NaN
warm_seconds{a="b"} -1.5
"""

OPENMETRICS = """\
# TYPE cats counter
# HELP cats Cats \\"seen\\"\\nso far \\\\o/
cats_total{kind="a\\"b\\\\c\\nd"} 3
cats_created{kind="a\\"b\\\\c\\nd"} 1.5
# TYPE lag_seconds histogram
# UNIT lag_seconds seconds
lag_seconds_bucket{route="/x",le="0.1"} 1
lag_seconds_bucket{route="/x",le="1.0"} 1
lag_seconds_bucket{route="/x",le="+Inf"} 3 # {trace_id="ab",span_id="cd"} 5.0 2.25
lag_seconds_count{route="/x"} 3
lag_seconds_sum{route="/x"} 7.25
lag_seconds_created{route="/x"} 1
# TYPE sizes summary
# HELP sizes Sizes.
sizes_count 2
sizes_sum 3.5
# TYPE target info
# HELP target Target metadata
target_info{service_name="x"} 1
# TYPE warm_seconds gauge
# UNIT warm_seconds seconds
warm_seconds NaN
warm_seconds{a="b"} -1.5
# EOF
"""


def samples(families: Iterable[Parsed]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_the_classic_format() -> None:
    assert text.render(METRICS).decode() == TEXT


def test_openmetrics() -> None:
    assert openmetrics.render(METRICS).decode() == OPENMETRICS


def test_both_parse_to_the_same_samples() -> None:
    classic, modern = samples(parse_text(TEXT)), samples(parse_openmetrics(OPENMETRICS))
    assert classic.keys() == modern.keys()
    assert all(value == modern[key] or math.isnan(value) for key, value in classic.items())


LABELS = st.dictionaries(st.sampled_from(["a", "b", "le_", "zone"]), st.text(min_size=1, max_size=6), max_size=3).map(
    lambda made: tuple(sorted(made.items()))
)
NUMBERS = st.one_of(st.integers(min_value=0, max_value=2**60), st.floats(min_value=0, allow_nan=False, max_value=1e300))
HISTOGRAMS = st.lists(st.integers(0, 1000), min_size=4, max_size=4).map(
    lambda counts: HistogramValue((0.001, 1.0, 1e6), tuple(counts), 1.5, sum(counts))
)


def metric(name: str, kind: Type, values: st.SearchStrategy[int | float | HistogramValue]) -> st.SearchStrategy[Metric]:
    rows = st.dictionaries(LABELS, values, max_size=4)
    return st.tuples(rows, st.text(max_size=12)).map(
        lambda made: Metric(name, kind, made[1], "", tuple(Row(k, v, 5) for k, v in sorted(made[0].items())))
    )


@given(
    st.tuples(
        metric("c_total", Type.COUNTER, NUMBERS),
        metric("g", Type.GAUGE, NUMBERS),
        metric("h", Type.HISTOGRAM, HISTOGRAMS),
    )
)
@settings(deadline=None, max_examples=100)
def test_whatever_is_rendered_parses_and_both_formats_agree(metrics: tuple[Metric, ...]) -> None:
    classic = samples(parse_text(text.render(metrics).decode()))
    modern = samples(parse_openmetrics(openmetrics.render(metrics).decode()))
    assert classic == modern
    assert len(classic) == sum(6 if one.type is Type.HISTOGRAM else 1 for one in metrics for _ in one.rows)


def test_text_that_is_no_unicode_costs_a_character() -> None:
    lone = Metric("g", Type.GAUGE, "", "", (Row((("a", "\ud800"),), 1),))
    assert text.render([lone]).endswith(b'g{a="?"} 1\n')
    assert b'g{a="?"} 1\n' in openmetrics.render([lone])


@pytest.mark.parametrize(
    "value",
    [HistogramValue((-1.0, 1.0), (1, 1, 0), -2.0, 2), HistogramValue((1.0,), (1, 1), math.nan, 2)],
    ids=["negative bounds", "no sum recorded"],
)
def test_a_sum_that_may_fall_or_is_not_there_is_not_shown(value: HistogramValue) -> None:
    """Compat spec 1.60, "Histograms"; OpenMetrics then allows no `_count` either."""
    one = Metric("h", Type.HISTOGRAM, "", "", (Row((), value),))
    classic, modern = text.render([one]).decode(), openmetrics.render([one]).decode()
    assert "h_sum" not in classic + modern
    assert "h_count 2" in classic
    assert "h_count" not in modern
    parse_text(classic)
    parse_openmetrics(modern)


def test_a_counter_without_its_suffix_keeps_its_name_in_openmetrics() -> None:
    """A team's old name must not change with the scraper's format."""
    body = openmetrics.render([Metric("images_processed", Type.COUNTER, "", "", (Row((), 4, 1),))]).decode()
    assert "# TYPE images_processed unknown\nimages_processed 4\n" in body


def test_a_counter_beside_a_gauge_of_its_family_name_parses() -> None:
    one = Metric("jobs", Type.GAUGE, "", "", (Row((), 1),))
    two = Metric("jobs_total", Type.COUNTER, "", "", (Row((), 2),))
    parsed = samples(parse_openmetrics(openmetrics.render([one, two]).decode()))
    assert len(parsed) == 2
    assert parsed == samples(parse_text(text.render([one, two]).decode()))


def test_a_metric_named_like_a_counters_creation_time_keeps_its_value() -> None:
    """And the counter its name: parsers take a counter family's `_created` for taken, whether it is shown or not."""
    counter = Metric("y_total", Type.COUNTER, "", "", (Row((), 2, 5),))
    gauge = Metric("y_created", Type.GAUGE, "", "", (Row((), 7),))
    body = openmetrics.render([gauge, counter]).decode()
    samples = {sample.name: sample.value for family in parse_openmetrics(body) for sample in family.samples}
    assert samples == {"y_created": 7, "y_total": 2}


@pytest.mark.parametrize("end", ["bucket", "sum", "count", "created"])
def test_a_counter_whose_family_has_the_name_of_a_sample_keeps_its_name(end: str) -> None:
    histogram = Metric("x", Type.HISTOGRAM, "", "", (Row((), HistogramValue((), (1,), 1.0, 1), 5),))
    counter = Metric(f"x_{end}_total", Type.COUNTER, "", "", (Row((), 2, 5),))
    families = parse_openmetrics(openmetrics.render([histogram, counter]).decode())
    assert [(one.name, one.type) for one in families] == [("x", "histogram"), (f"x_{end}_total", "unknown")]


def test_exemplars_fit_into_128_characters() -> None:
    """Trace and span first, then as many other attributes as there is room for; they never hide the trace."""
    exemplar = Exemplar(1.0, 0, "a" * 32, "b" * 16, (("long", "x" * 100), ("short.key", "y"), ("trace_id", "z")))
    row = Row((), 1, exemplars=(exemplar,))
    line = openmetrics.render([Metric("c_total", Type.COUNTER, "", "", (row,))]).decode().splitlines()[1]
    assert line == f'c_total 1 # {{trace_id="{"a" * 32}",span_id="{"b" * 16}",short_key="y"}} 1.0'


@pytest.mark.parametrize("value", ['say "cat"', "back\\", "two\nlines", '"'])
def test_what_parsers_cannot_read_in_exemplars_is_left_out(value: str) -> None:
    """The line would be valid; prometheus_client loses the whole scrape over it."""
    exemplar = Exemplar(1.0, 0, "a" * 32, attributes=(("text", value), ("fine", "{x}, y # = z")))
    row = Row((), HistogramValue((1.0,), (1, 0), 1.0, 1, (exemplar,)))
    (family,) = parse_openmetrics(openmetrics.render([Metric("x", Type.HISTOGRAM, "", "", (row,))]).decode())
    assert family.samples[0].exemplar
    assert family.samples[0].exemplar.labels == {"trace_id": "a" * 32, "fine": "{x}, y # = z"}


def test_ids_count_among_the_128_characters() -> None:
    row = Row((), 1, exemplars=(Exemplar(1.0, 0, "a" * 200, "b" * 16, (("k", "v"),)),))
    body = openmetrics.render([Metric("x_total", Type.COUNTER, "", "", (row,))]).decode()
    assert f'# {{span_id="{"b" * 16}",k="v"}} 1.0' in body


def test_gauges_carry_no_exemplars_and_empty_ones_are_valid() -> None:
    row = Row((), 1, exemplars=(Exemplar(1.0, 0),))
    body = openmetrics.render(
        [Metric("c_total", Type.COUNTER, "", "", (row,)), Metric("g", Type.GAUGE, "", "", (row,))]
    ).decode()
    assert "c_total 1 # {} 1.0\n" in body
    assert "g 1\n" in body
    parse_openmetrics(body)


def test_units_are_named_only_where_the_name_ends_in_them() -> None:
    body = openmetrics.render([Metric("latency_ms", Type.GAUGE, "", "milliseconds", (Row((), 1),))])
    assert b"# UNIT" not in body


def test_what_text_cannot_say_is_an_error() -> None:
    value = ExponentialValue(0, 0, 0.0, 0, (), 0, (), 0.0, 0)
    one = Metric("h", Type.HISTOGRAM, "", "", (Row((), value),))
    for render in (text.render, openmetrics.render):
        with pytest.raises(TypeError, match=r"h: .* has no ExponentialValue"):
            render([one])


UTF8 = (
    Metric(
        "http.server.duration_seconds",
        Type.HISTOGRAM,
        'Of "all".',
        "seconds",
        (Row((("http.route", "/x"), ("zone", "b")), HistogramValue((1.0,), (1, 2), 4.5, 3), 5_000_000_000),),
    ),
    Metric("ml.cats_total", Type.COUNTER, "", "", (Row((), 3),)),
    Metric("plain", Type.GAUGE, "", "", (Row((("a.b", "c"),), 1),)),
    Metric('worst"\\\nname', Type.GAUGE, "", "", (Row((), 1),)),
)

UTF8_TEXT = """\
# HELP "http.server.duration_seconds" Of "all".
# TYPE "http.server.duration_seconds" histogram
{"http.server.duration_seconds_bucket","http.route"="/x",zone="b",le="1.0"} 1
{"http.server.duration_seconds_bucket","http.route"="/x",zone="b",le="+Inf"} 3
{"http.server.duration_seconds_sum","http.route"="/x",zone="b"} 4.5
{"http.server.duration_seconds_count","http.route"="/x",zone="b"} 3
# TYPE "ml.cats_total" counter
{"ml.cats_total"} 3
# TYPE plain gauge
plain{"a.b"="c"} 1
# TYPE "worst\\"\\\\\\nname" gauge
{"worst\\"\\\\\\nname"} 1
"""


def test_names_beyond_ascii_are_quoted() -> None:
    """Prometheus' UTF-8 syntax: the metric's name moves between the braces."""
    assert text.render(UTF8).decode() == UTF8_TEXT
    classic = samples(parse_text(text.render(UTF8[:3]).decode()))
    modern = openmetrics.render(UTF8[:3]).decode()
    assert '# UNIT "http.server.duration_seconds" seconds\n' in modern
    assert '{"http.server.duration_seconds_created","http.route"="/x",zone="b"} 5\n' in modern
    assert '# TYPE "ml.cats" counter\n{"ml.cats_total"} 3\n' in modern
    assert samples(parse_openmetrics(modern)) == classic


def test_a_summary_of_negative_values_shows_no_sum() -> None:
    """Compat spec 1.60, "Summaries": only when it is positive and monotonic."""
    one = Metric("s", Type.SUMMARY, "", "", (Row((), SummaryValue(-2.0, 2)),))
    for body in (text.render([one]), openmetrics.render([one])):
        assert b"s_count 2\n" in body
        assert b"s_sum" not in body
