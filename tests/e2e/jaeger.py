"""Starts the real Jaeger and reads its own query API, so that a test sees what a person in its page would."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.e2e.addresses import free_addresses
from tests.support.processes import http, running, wait_for
from tools import parts

SEARCH_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Span:
    """One span as `/api/traces` answers it; times in microseconds."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    start_us: int
    duration_us: int
    tags: Mapping[str, Any]
    process: Mapping[str, Any]
    logs: tuple[Mapping[str, Any], ...]

    @property
    def end_us(self) -> int:
        return self.start_us + self.duration_us

    @property
    def kind(self) -> str:
        return str(self.tags.get("span.kind", "internal"))

    @property
    def failed(self) -> bool:
        """Whether its OTLP status is ERROR: Jaeger turns that into the tag `error`."""
        return self.tags.get("error") is True


@dataclass(frozen=True, slots=True)
class Trace:
    """All spans of one trace, by start time."""

    trace_id: str
    spans: tuple[Span, ...]

    def named(self, name: str) -> Span:
        """The one span with that name."""
        found = [span for span in self.spans if span.name == name]
        assert len(found) == 1, f"{len(found)} spans named {name!r} among {[span.name for span in self.spans]}"
        return found[0]

    @property
    def root(self) -> Span:
        found = [span for span in self.spans if not span.parent_id]
        assert len(found) == 1, f"{len(found)} roots among {[span.name for span in self.spans]}"
        return found[0]

    def ancestors(self, span: Span) -> list[str]:
        """Names from the span's parent up to the root."""
        by_id = {other.span_id: other for other in self.spans}
        names: list[str] = []
        while span.parent_id:
            assert span.parent_id in by_id, f"the parent of {span.name!r} is not in the trace"
            span = by_id[span.parent_id]
            names.append(span.name)
        return names


@dataclass(frozen=True, slots=True)
class Jaeger:
    """A running Jaeger: where it takes OTLP and where it answers."""

    grpc: str
    http: str
    query: str

    def services(self) -> list[str]:
        return list(self._get("/api/services") or [])

    def traces(self, service: str) -> list[Trace]:
        """What the search page finds for a service."""
        answer = self._get(f"/api/traces?{urlencode({'service': service, 'limit': SEARCH_LIMIT})}")
        return [_trace(entry) for entry in answer]

    def trace(self, trace_id: str) -> Trace:
        """One trace by its id; fails when Jaeger does not have it."""
        return _trace(self._get(f"/api/traces/{trace_id}")[0])

    def wait_traces(self, service: str, count: int, *, timeout_s: float = 30.0) -> list[Trace]:
        """Waits until the service has that many traces, and returns all it has."""

        def arrived() -> list[Trace]:
            found = self.traces(service)
            assert len(found) >= count, f"{len(found)} traces of {service} so far"
            return found

        return wait_for(arrived, f"{count} traces of {service} in Jaeger", timeout_s, every_s=0.2)

    def _get(self, path: str) -> Any:
        reply = http(f"http://{self.query}{path}")
        assert reply.status == 200, f"Jaeger answered {reply.status} to {path}: {reply.text}"
        return json.loads(reply.body)["data"]


def _trace(entry: Mapping[str, Any]) -> Trace:
    spans = (_span(span, entry["processes"]) for span in entry["spans"])
    return Trace(entry["traceID"], tuple(sorted(spans, key=lambda span: span.start_us)))


def _span(entry: Mapping[str, Any], processes: Mapping[str, Any]) -> Span:
    process = processes[entry["processID"]]
    # A parent that the span also links to is answered as FOLLOWS_FROM alone; the page draws both below the parent.
    references = sorted(entry.get("references", []), key=lambda ref: str(ref["refType"]))
    parents = [ref["spanID"] for ref in references if ref["traceID"] == entry["traceID"]]
    return Span(
        trace_id=entry["traceID"],
        span_id=entry["spanID"],
        parent_id=parents[0] if parents else "",
        service=process["serviceName"],
        name=entry["operationName"],
        start_us=entry["startTime"],
        duration_us=entry["duration"],
        tags=_tags(entry.get("tags")),
        process=_tags(process.get("tags")),
        logs=tuple(_tags(log["fields"]) for log in entry.get("logs") or ()),
    )


def _tags(entries: list[Mapping[str, Any]] | None) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in entries or ()}


@contextmanager
def jaeger(grpc: str = "") -> Iterator[Jaeger]:
    """Runs Jaeger all-in-one with its memory store; `grpc` fixes its OTLP/gRPC address, free by default."""
    address = free_addresses(
        *("grpc", "http", "query", "query_grpc", "admin", "model", "thrift", "sampling", "compact", "binary", "zipkin")
    )
    found = Jaeger(grpc=grpc or address["grpc"], http=address["http"], query=address["query"])
    options = {
        "collector.otlp.grpc.host-port": found.grpc,
        "collector.otlp.http.host-port": found.http,
        "query.http-server.host-port": found.query,
        "query.grpc-server.host-port": address["query_grpc"],
        "admin.http.host-port": address["admin"],
        "collector.grpc-server.host-port": address["model"],
        "collector.http-server.host-port": address["thrift"],
        # The agent of old, part of all-in-one: nothing talks to it, it must only not take fixed ports.
        "http-server.host-port": address["sampling"],
        "processor.jaeger-compact.server-host-port": address["compact"],
        "processor.jaeger-binary.server-host-port": address["binary"],
        "processor.zipkin-compact.server-host-port": address["zipkin"],
        "log-level": "warn",
    }
    command: list[str | Path] = [parts.binary("jaeger"), *(f"--{option}={value}" for option, value in options.items())]
    with running(command, name="jaeger", env={"SPAN_STORAGE_TYPE": "memory"}) as program:
        program.wait_url(f"http://{address['admin']}/")
        program.wait_url(f"http://{found.query}/api/services")
        try:
            yield found
        finally:
            # Asked to end, it waits 10 s for connections nobody holds; its store is in memory, so nothing can be lost.
            program.stop(signal.SIGKILL)
