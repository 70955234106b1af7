"""Headers are recorded as the standard variables ask, and never otherwise."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse
from starlette.testclient import TestClient

from instrumentation import instrument
from instrumentation.headers import read_capture
from tests.support.memory import Telemetry

VARIABLES = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"


def service() -> TestClient:
    app = FastAPI()

    @app.get("/foobar")
    async def foobar() -> JSONResponse:
        answer = JSONResponse({}, headers={"carrot": "bar", "date-secret": "yellow", "egg": "ham"})
        answer.headers.append("carrot", "again")
        return answer

    @app.websocket("/chat")
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    instrument(app)
    return TestClient(app)


@pytest.fixture
def _chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{VARIABLES}SERVER_REQUEST", "a.*, B.*")
    monkeypatch.setenv(f"{VARIABLES}SERVER_RESPONSE", "c.*,d.*")
    monkeypatch.setenv(f"{VARIABLES}SANITIZE_FIELDS", ".*secret.*")


@pytest.mark.usefixtures("_chosen")
def test_chosen_headers_are_on_the_server_span(telemetry: Telemetry) -> None:
    """By regular expression, in any case, every value, and without the secret ones."""
    service().get("/foobar", headers={"Apple": "red", "banana-secret": "yellow", "fig": "green"})
    attributes = dict(telemetry.span("GET /foobar").attributes or {})
    headers = {key: value for key, value in attributes.items() if ".header." in key}
    assert headers.pop("http.request.header.accept") == ("*/*",)
    assert headers.pop("http.request.header.accept-encoding")
    assert headers == {
        "http.request.header.apple": ("red",),
        "http.request.header.banana-secret": ("[REDACTED]",),
        "http.response.header.carrot": ("bar", "again"),
        "http.response.header.content-length": ("2",),
        "http.response.header.content-type": ("application/json",),
        "http.response.header.date-secret": ("[REDACTED]",),
    }


@pytest.mark.usefixtures("_chosen")
def test_a_websockets_chosen_headers_are_on_its_span(telemetry: Telemetry) -> None:
    """Those of its request."""
    with service().websocket_connect("/chat", headers={"apple": "red"}):
        pass
    assert (telemetry.span("WS /chat").attributes or {})["http.request.header.apple"] == ("red",)


def test_without_being_asked_no_header_is_recorded(telemetry: Telemetry) -> None:
    """But for the user agent, which has an attribute of its own."""
    service().get("/foobar", headers={"apple": "red"})
    assert [key for key in telemetry.span("GET /foobar").attributes or {} if ".header." in key] == []


def test_a_variable_that_is_no_expression_is_told_and_records_nothing() -> None:
    """Where it should say what is secret, everything is."""
    problems: list[str] = []
    environ = {f"{VARIABLES}SERVER_REQUEST": "x.*", f"{VARIABLES}SANITIZE_FIELDS": "("}
    capture = read_capture(environ, problems)
    assert capture is not None
    assert capture.of_request([(b"x-key", b"secret")]) == {"http.request.header.x-key": ["[REDACTED]"]}
    assert capture.of_response([(b"x-key", b"secret")]) == {}
    assert problems[0].startswith(f"{VARIABLES}SANITIZE_FIELDS='(': no regular expressions (")
    assert read_capture({f"{VARIABLES}SERVER_RESPONSE": "("}, problems) is None
