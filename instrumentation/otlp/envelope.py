"""The three levels every OTLP request has (resource, scope, items), once for all signals. Pure.

`Export*ServiceRequest`, `Resource*` and `Scope*` have the same field numbers in all signals' protos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from instrumentation.otlp.common import encode_resource, encode_scope
from instrumentation.otlp.wire import delimited, text


class Sourced(Protocol):
    """What knows where it comes from: a span, a log record."""

    @property
    def resource(self) -> Resource: ...  # noqa: D102 - the class says it

    @property
    def instrumentation_scope(self) -> InstrumentationScope | None: ...  # noqa: D102 - the class says it


_Item = TypeVar("_Item", bound=Sourced)


def scope_level(scope: InstrumentationScope | None, items: Sequence[bytes]) -> bytes:
    """A `Scope*` field of a `Resource*`, from items that bear their tag and length."""
    body = [delimited(b"\x0a", encode_scope(scope)), *items]
    if scope is not None:
        body.append(text(b"\x1a", scope.schema_url))
    return delimited(b"\x12", b"".join(body))


def resource_level(resource: Resource, scopes: Iterable[bytes]) -> bytes:
    """A `Resource*` field of a request."""
    body = [delimited(b"\x0a", encode_resource(resource)), *scopes, text(b"\x1a", resource.schema_url)]
    return delimited(b"\x0a", b"".join(body))


def encode_request(items: Iterable[_Item], encode: Callable[[_Item], bytes], resource: Resource | None) -> bytes:
    """A request of items grouped by resource and scope, both in the order of their first item.

    Args:
        items: spans or log records.
        encode: one item with its tag and length.
        resource: taken instead of the items' own.
    """
    # By identity first: it is one comparison for nearly every item, and hashing a resource means writing it as JSON.
    runs: dict[tuple[int, int], tuple[Resource, InstrumentationScope | None, list[bytes]]] = {}
    last_resource: Resource | None = None
    last_scope: InstrumentationScope | None = None
    run: list[bytes] = []
    for item in items:
        own = item.resource if resource is None else resource
        scope = item.instrumentation_scope
        if own is not last_resource or scope is not last_scope:
            run = runs.setdefault((id(own), id(scope)), (own, scope, []))[2]
            last_resource, last_scope = own, scope
        run.append(encode(item))

    # Then by equality: an application that asks for a tracer in each request makes an equal scope each time.
    groups: list[tuple[Resource, dict[InstrumentationScope | None, list[bytes]]]] = []
    for own, scope, encoded in runs.values():
        scopes = next((scopes for known, scopes in groups if known is own or known == own), None)
        if scopes is None:
            scopes = {}
            groups.append((own, scopes))
        scopes.setdefault(scope, []).extend(encoded)
    return b"".join(
        [
            resource_level(own, [scope_level(scope, encoded) for scope, encoded in scopes.items()])
            for own, scopes in groups
        ]
    )
