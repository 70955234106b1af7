"""The live page: what the pod does right now, for a person at 3 a.m., rendered on the server without any build step."""

from sidecar.page.routes import page_routes

__all__ = ["page_routes"]
