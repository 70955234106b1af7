"""Instruments a service that is started by `otel-sidecar run`, without a change to it.

Python imports the first `sitecustomize` on its path at start-up. This one arranges that a FastAPI application that
nobody has instrumented by its first request is instrumented then, and runs the `sitecustomize` it stands before.
"""

import importlib.machinery
import importlib.util
import logging
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


class _Finder:
    """Lets FastAPI be imported as ever, and hooks its application class once it is."""

    def find_spec(self, name, path=None, target=None):
        """Finds `fastapi.applications` with the ordinary finder and adds to its execution."""
        if name != "fastapi.applications":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module):
                execute(module)
                _hook(module.FastAPI)

            spec.loader.exec_module = executed
        return spec


def _hook(application):
    """Instruments at the first use, so that a service's own `instrument(app, ...)` with its arguments comes first."""
    build = application.build_middleware_stack

    def built(self):
        try:
            from instrumentation import instrument

            if not getattr(self, "_otel_sidecar_telemetry", None):
                instrument(self)
                return self.build_middleware_stack()
        except Exception:
            logging.getLogger("instrumentation").warning("the service is served without telemetry", exc_info=True)
        return build(self)

    application.build_middleware_stack = built


def _chain():
    """Runs the `sitecustomize` that this one hides."""
    path = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, _Finder())
_chain()
