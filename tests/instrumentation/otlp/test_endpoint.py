from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instrumentation.otlp.endpoint import Endpoint


@pytest.mark.parametrize(
    ("url", "endpoint", "shown"),
    [
        ("http://h", Endpoint(False, "h", 80, "/", "h"), "http://h/"),
        ("https://h/a/b", Endpoint(True, "h", 443, "/a/b", "h"), "https://h/a/b"),
        ("HTTP://H:1", Endpoint(False, "h", 1, "/", "H:1"), "http://H:1/"),
        ("http://[::1]:2/x", Endpoint(False, "::1", 2, "/x", "[::1]:2"), "http://[::1]:2/x"),
        ("http://h/?k=v", Endpoint(False, "h", 80, "/?k=v", "h"), "http://h/"),
        ("http://u:p@h", Endpoint(False, "h", 80, "/", "h", "Basic dTpw"), "http://h/"),
        ("http://u@h", Endpoint(False, "h", 80, "/", "h", "Basic dTo="), "http://h/"),
    ],
)
def test_a_url_is_taken_apart(url: str, endpoint: Endpoint, shown: str) -> None:
    assert Endpoint.parse(url) == endpoint
    assert str(Endpoint.parse(url)) == shown


@pytest.mark.parametrize(
    "url", ["", "h:1", "ftp://h", "http://", "http://h:99999", "http://h:x", "http://h x", "http://h\n", "http://[::1"]
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Endpoint.parse(url)


@settings(deadline=None)
@given(st.text() | st.text().map(lambda tail: f"http://{tail}"))
def test_no_text_but_an_endpoint_passes(url: str) -> None:
    try:
        endpoint = Endpoint.parse(url, "v1/traces")
    except ValueError:
        return
    assert endpoint.host
    assert endpoint.target.startswith("/")
    assert (endpoint.target + endpoint.authority).isprintable()
