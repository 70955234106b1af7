"""Arguments that are wrong are errors; variables that are wrong are sentences, and the service starts."""

from __future__ import annotations

import pytest

from instrumentation.settings import Settings, read_settings


def test_the_defaults_are_the_documented_ones() -> None:
    """No variable, no argument."""
    assert read_settings({}) == Settings()
    assert Settings().export_interval_s == 5.0


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon", "expected milliseconds above 0; using 5000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-1", "expected milliseconds above 0; using 5000"),
        ("OTEL_SIDECAR_METRICS", "nowhere", "expected host:port; using 127.0.0.1:9464"),
        ("OTEL_SIDECAR_METRICS", "host:99999", "expected host:port; using 127.0.0.1:9464"),
        ("OTEL_SIDECAR_KEEP_RATIO", "1.5", "expected a share from 0 to 1; using 0.1"),
        ("OTEL_SIDECAR_SLOW", "-1", "expected seconds above 0; using 1"),
        ("OTEL_SIDECAR_LOOP_BLOCKED", "soon", "expected seconds above 0; using 0.25"),
        ("OTEL_SIDECAR_RUNTIME", "maybe", "expected true or false; using true"),
        ("OTEL_PYTHON_LOG_CORRELATION", "1", "expected true or false; using false"),
        ("OTEL_LOGS_EXPORTER", "loki", "'loki' is none of otlp, console, none; ignored"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "'zipkin' is none of otlp, console, none; ignored"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(name: str, value: str, sentence: str) -> None:
    """The exact sentence: variable, value, what is expected, what happens."""
    assert read_settings({name: value}).problems == (f"{name}={value!r}: {sentence}",)


def test_a_wrong_pattern_is_named() -> None:
    """An exclusion that is no regular expression excludes nothing."""
    settings = read_settings({"OTEL_PYTHON_EXCLUDED_URLS": "("})
    assert settings.excluded_urls is None
    assert settings.problems[0].startswith("OTEL_PYTHON_EXCLUDED_URLS='(': no regular expression")


def test_the_standard_variables_are_read() -> None:
    """Exporters, interval, disabling; a wildcard address is asked on loopback."""
    settings = read_settings(
        {
            "OTEL_METRIC_EXPORT_INTERVAL": "250",
            "OTEL_TRACES_EXPORTER": "otlp, console",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_SDK_DISABLED": "TRUE",
            "OTEL_SIDECAR_METRICS": "0.0.0.0:9999",
            "OTEL_SEMCONV_STABILITY_OPT_IN": "database,http/dup",
        }
    )
    assert settings.export_interval_s == 0.25
    assert settings.traces == ("otlp", "console")
    assert settings.metrics == ()
    assert settings.disabled
    assert settings.sidecar_metrics == "127.0.0.1:9999"
    assert settings.stable_http_by_stock


def test_a_wrong_path_is_refused() -> None:
    """The argument is named with its value."""
    with pytest.raises(ValueError, match=r"metrics_path='metrics': must start with '/'"):
        read_settings({}, metrics_path="metrics")


def test_the_environment_wins_over_the_code() -> None:
    """One image, deployed with other thresholds; what the code says of single routes stays."""
    environ = {
        "OTEL_SIDECAR_SLOW": "2",
        "OTEL_SIDECAR_KEEP_RATIO": "0.5",
        "OTEL_SIDECAR_RUNTIME": "False",
        "OTEL_PYTHON_LOG_CORRELATION": "TRUE",
        "OTEL_LOGS_EXPORTER": "otlp",
    }
    settings = read_settings(environ, slow={"/predict": 0.3}, runtime=True, logs=False)
    assert (settings.keep.slow_after_s("/predict"), settings.keep.slow_after_s("/other")) == (0.3, 2)
    assert settings.keep.slow_after_s(None) == 2
    assert settings.keep.ratio == 0.5
    assert (settings.runtime, settings.log_correlation, settings.logs) == (False, True, ("otlp",))


def test_logs_are_exported_on_request_alone() -> None:
    """Unlike traces and metrics: a service's logs usually have a way of their own."""
    assert read_settings({}, logs=True).logs == ()
    assert read_settings({}, logs=True).log_correlation


@pytest.mark.parametrize(
    ("slow", "sentence"),
    [
        (0, "slow=0: must be seconds above 0"),
        ({"/predict": -1.0}, r"slow\['/predict'\]=-1.0: must be seconds above 0"),
        (float("nan"), "slow=nan: must be seconds above 0"),
    ],
)
def test_a_wrong_threshold_is_refused(slow: float | dict[str, float], sentence: str) -> None:
    """The argument is named with its value."""
    with pytest.raises(ValueError, match=sentence):
        read_settings({}, slow=slow)


def test_a_threshold_may_be_never() -> None:
    """Infinity: no request is slow."""
    assert read_settings({}, slow=float("inf")).keep.slow_after_s("/predict") == float("inf")
