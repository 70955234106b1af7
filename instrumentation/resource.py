"""Says which process of which service, in which pod, the telemetry comes from."""

from __future__ import annotations

import os
import platform
import socket
import sys
from collections.abc import Mapping
from typing import Final

from opentelemetry.sdk.resources import Resource

SERVICE_NAME: Final = "service.name"
_UNKNOWN_SERVICE: Final = "unknown_service"

# The downward API's variables as people name them: with K8S_, plainly, or as the OpenTelemetry Operator does.
DOWNWARD_API: Final[Mapping[str, tuple[str, ...]]] = {
    "k8s.pod.name": ("K8S_POD_NAME", "POD_NAME", "OTEL_RESOURCE_ATTRIBUTES_POD_NAME"),
    "k8s.pod.uid": ("K8S_POD_UID", "POD_UID", "OTEL_RESOURCE_ATTRIBUTES_POD_UID"),
    "k8s.pod.ip": ("K8S_POD_IP", "POD_IP"),
    "k8s.namespace.name": ("K8S_NAMESPACE_NAME", "K8S_POD_NAMESPACE", "POD_NAMESPACE"),
    "k8s.node.name": ("K8S_NODE_NAME", "NODE_NAME", "OTEL_RESOURCE_ATTRIBUTES_NODE_NAME"),
    "k8s.container.name": ("K8S_CONTAINER_NAME", "CONTAINER_NAME"),
    "k8s.deployment.name": ("K8S_DEPLOYMENT_NAME", "DEPLOYMENT_NAME"),
    "k8s.cluster.name": ("K8S_CLUSTER_NAME", "CLUSTER_NAME"),
}


def build_resource(
    environ: Mapping[str, str], *, service_name: str | None = None, service_version: str | None = None
) -> Resource:
    """The resource of this process, made anew after a fork (its pid and `service.instance.id` differ then).

    What the environment says (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`) wins over `service_name` and
    `service_version`, which are the code's defaults, so that one image can be deployed under several names.
    """
    code: dict[str, str | int] = {
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
        "process.executable.name": os.path.basename(sys.executable) or "python",  # noqa: PTH119 - a name, no path
        "process.runtime.name": sys.implementation.name,
        "process.runtime.version": platform.python_version(),
    }
    for attribute, variables in DOWNWARD_API.items():
        if value := next((environ[name] for name in variables if environ.get(name)), None):
            code[attribute] = value
    if service_version:
        code["service.version"] = service_version
    # The SDK's own detectors read the standard variables, but its `create` lets code win over them: merge by hand.
    detected = Resource.create()
    resource = Resource(code).merge(detected)
    named = str(detected.attributes.get(SERVICE_NAME, ""))
    if service_name and named.startswith(_UNKNOWN_SERVICE):
        resource = resource.merge(Resource({SERVICE_NAME: service_name}))
    return resource
