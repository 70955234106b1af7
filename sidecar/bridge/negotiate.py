"""Which exposition format a scraper gets: its Accept header, q-values honoured, classic text when in doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sidecar.bridge import openmetrics, text
from sidecar.bridge.prom import Metric


@dataclass(frozen=True, slots=True)
class Format:
    """A format we can write.

    Attributes:
        media: its media type.
        versions: values of `version` that a scraper may ask for; a range without a version matches too.
        content_type: what the reply says.
        render: metrics to bytes.
    """

    media: str
    versions: frozenset[str]
    content_type: str
    render: Callable[[Iterable[Metric]], bytes]


TEXT = Format("text/plain", frozenset({"0.0.4", "1.0.0"}), text.CONTENT_TYPE, text.render)
OPENMETRICS = Format(
    "application/openmetrics-text", frozenset({"1.0.0", "0.0.1"}), openmetrics.CONTENT_TYPE, openmetrics.render
)
#: By preference where the scraper's is equal. Classic text is first: it is what `*/*`, browsers and curl expect.
FORMATS = (TEXT, OPENMETRICS)


def negotiate(accept: str) -> Format:
    """The format the header likes best; classic text when it names none of ours (Prometheus 3 needs some answer).

    Of several ranges that match a format the most specific one gives its q-value (RFC 9110, 12.5.1). `escaping=` is
    tolerated in every spelling: our names never need it.
    """
    ranges = [one for one in map(_range, accept.split(",")) if one is not None]
    best = max(((_quality(form, ranges), -place, form) for place, form in enumerate(FORMATS)), key=lambda one: one[:2])
    return best[2] if best[0] > 0 else TEXT


_Range = tuple[str, str | None, float]


def _range(part: str) -> _Range | None:
    media, *parameters = (piece.strip() for piece in part.split(";"))
    version, quality = None, 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        value = value.strip().strip('"')
        match key.strip().lower():
            case "q":
                try:
                    quality = min(1.0, max(0.0, float(value)))
                except ValueError:
                    return None  # a range whose weight cannot be read says nothing
            case "version":
                version = value
            case _:
                pass
    return (media.lower(), version, quality) if media else None


def _quality(form: Format, ranges: list[_Range]) -> float:
    kind = form.media.partition("/")[0]
    matches = [
        ((media == form.media) + (media != "*/*") + (version is not None), quality)
        for media, version, quality in ranges
        if media in (form.media, f"{kind}/*", "*/*") and (version is None or version in form.versions)
    ]
    most = max((level for level, _ in matches), default=0)
    return max((quality for level, quality in matches if level == most), default=0.0)
