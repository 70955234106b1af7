"""The real sidecar of the integration tests, for services in other environments."""

from tests.integration.conftest import sidecar

__all__ = ["sidecar"]
