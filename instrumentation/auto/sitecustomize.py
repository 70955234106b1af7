"""Instruments a service that is started by `otel-sidecar run`, without a change to it.

Python imports the first `sitecustomize` on its path at start-up. This one arranges that a FastAPI application that
nobody has instrumented by the time it is first called is instrumented then, and runs the `sitecustomize` it hides.
"""

import functools
import importlib.machinery
import importlib.util
import logging
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_TRIED = "_otel_sidecar_tried"


class _Finder:
    """Lets FastAPI be imported as ever, and hooks its application class once it is."""

    def find_spec(self, name, path=None, target=None):
        """Finds `fastapi.applications` with the ordinary finder and adds to its execution."""
        if name != "fastapi.applications":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module):
                execute(module)
                _hook(module.FastAPI)

            spec.loader.exec_module = executed
        return spec


def _hook(application):
    """Instruments at the first call, so that a service's own `instrument(app, ...)` with its arguments comes first.

    Not where the middleware stack is built: FastAPI >= 0.142 looks at its own telemetry before it builds one, and a
    service may have a `build_middleware_stack` of its own.
    """
    call = application.__call__

    @functools.wraps(call)
    async def called(self, scope, receive, send):
        if _TRIED not in self.__dict__:
            setattr(self, _TRIED, True)
            _instrument(self)
        await call(self, scope, receive, send)

    application.__call__ = called


def _instrument(app):
    try:
        from instrumentation import instrument

        instrument(app)
    except Exception:
        logging.getLogger("instrumentation").warning("the service is served without telemetry", exc_info=True)


def _chain():
    """Runs the `sitecustomize` that this one hides, as if it had been found first."""
    path = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


sys.meta_path.insert(0, _Finder())
_chain()
