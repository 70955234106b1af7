"""TLS contexts from the settings' files, made for each connection anew: certificates rotate without a restart."""

from __future__ import annotations

import ssl

from instrumentation.otlp.settings import OtlpSettings


class TlsSettingsError(Exception):
    """A certificate or key file could not be used; the text names the variables and files."""


def tls_context(settings: OtlpSettings) -> ssl.SSLContext:
    """A context that checks the server and shows the client's certificate, if there is one.

    Raises:
        TlsSettingsError: a file is missing or holds something else.
    """
    try:
        context = ssl.create_default_context(cafile=settings.certificate)
        if settings.client_certificate:
            context.load_cert_chain(settings.client_certificate, settings.client_key)
    except OSError as error:
        files = {
            "CERTIFICATE": settings.certificate,
            "CLIENT_CERTIFICATE": settings.client_certificate,
            "CLIENT_KEY": settings.client_key,
        }
        named = ", ".join(f"OTEL_EXPORTER_OTLP_{option}={path}" for option, path in files.items() if path)
        raise TlsSettingsError(f"{named}: {error}") from error
    return context
