"""Finds the template of the route that answered, since a raw path as a label would make a series per user.

FastAPI writes its route into the ASGI scope, Starlette's plain routes and mounts do not, and FastAPI >= 0.14x keeps an
included router's prefix apart. What is read first costs nothing; the router is asked again only where that fails.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]


def http_route(scope: Scope, routes: Iterable[Any]) -> str | None:
    """The template (`/users/{id}`), prefixed by those of mounts, or None when no route matched.

    Args:
        scope: the ASGI scope after the application has handled it.
        routes: the outermost application's (the scope's `app` is the innermost one's by now).
    """
    if scope.get("root_path", "") == scope.get("app_root_path", scope.get("root_path", "")):
        template = _selected(scope)
        if template is not None:
            return template
    return matched(routes, scope)


def _selected(scope: Scope) -> str | None:
    """What FastAPI left in the scope: with the prefix of included routers where it keeps that apart."""
    fastapi = scope.get("fastapi")
    if isinstance(fastapi, dict):
        context = fastapi.get("effective_route_context")
        if context is not None and (template := _template(getattr(context, "starlette_route", None) or context)):
            return template
    route = scope.get("route")
    return None if route is None else _template(route)


def _template(route: object) -> str | None:
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    return template if isinstance(template, str) else None


def matched(routes: Iterable[Any], scope: Scope, prefix: str = "") -> str | None:
    """The template of the route that would answer, or None.

    Asks routes as the router does; a mount answers for what is under it, and is named when nothing there matches.
    """
    if not prefix:
        # The handled scope carries the innermost application's path: begin again at the outermost.
        scope = {**scope, "root_path": scope.get("app_root_path", scope.get("root_path", ""))}
    partial: str | None = None
    for route in routes:
        matches = getattr(route, "matches", None)
        if matches is None:
            continue
        asked = {key: value for key, value in scope.items() if key not in ("route", "fastapi")}
        verdict, child = matches(asked)
        if verdict.name == "NONE":
            continue
        found = _ofmatched(route, asked, child, prefix)
        if verdict.name == "FULL":
            return found
        partial = partial or found
    return partial


def _ofmatched(route: Any, asked: Scope, child: Scope, prefix: str) -> str | None:
    inner = getattr(route, "routes", None)
    if "app_root_path" in child:
        mounted = prefix + (getattr(route, "path", "") or "")
        # StaticFiles and other applications without routes have nothing more to say.
        return matched(inner or (), {**asked, **child}, mounted) or f"{mounted}/{{path}}"
    own = _included(route, asked) or _selected({**asked, **child}) or _template(route)
    if own is None and inner:
        # A Host: it has routes, and no path of its own.
        return matched(inner, {**asked, **child}, prefix)
    return None if own is None else prefix + own


def _included(route: Any, asked: Scope) -> str | None:
    """FastAPI >= 0.14x keeps an included router as one route; it knows its routes with their whole templates."""
    contexts = getattr(route, "effective_route_contexts", None)
    if contexts is None:
        return None
    path = asked["path"].removeprefix(asked.get("root_path", ""))
    for context in contexts():
        candidate = getattr(context, "starlette_route", None) or context
        regex = getattr(candidate, "path_regex", None)
        if regex is not None and regex.match(path):
            return _template(candidate)
    return None
