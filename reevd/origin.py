"""Who sends: this process of reevd, on this host, in OpenTelemetry's words."""

from __future__ import annotations

import socket

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from reevd import __version__


def origin(process: str) -> Resource:
    """Another one on each host and for each process. OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME beat it."""
    host = socket.gethostname()
    about = {
        "service.name": "reevd",
        "service.version": __version__,
        "service.instance.id": f"{host}/{process}",
        "host.name": host,
    }
    return Resource(about).merge(OTELResourceDetector().detect())
