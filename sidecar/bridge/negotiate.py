"""Which format and which names a scraper gets: its Accept header, q-values honoured, classic text when in doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sidecar.bridge import openmetrics, protobuf, text
from sidecar.bridge.escaping import SPELLINGS, Escaping
from sidecar.bridge.prom import Metric


@dataclass(frozen=True, slots=True)
class Format:
    """A format we can write.

    Attributes:
        media: its media type.
        parameters: values that a scraper may ask for, by parameter; a range that does not name one matches too.
        content_type: what the reply says.
        render: metrics to bytes.
    """

    media: str
    parameters: Mapping[str, frozenset[str]]
    content_type: str
    render: Callable[[Iterable[Metric]], bytes]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a scraper gets.

    Attributes:
        format: see there.
        escaping: what becomes of names that not everybody can read.
        content_type: of the reply.
    """

    format: Format
    escaping: Escaping
    content_type: str


TEXT = Format("text/plain", {"version": frozenset({"0.0.4", "1.0.0"})}, text.CONTENT_TYPE, text.render)
OPENMETRICS = Format(
    "application/openmetrics-text",
    {"version": frozenset({"1.0.0", "0.0.1"})},
    openmetrics.CONTENT_TYPE,
    openmetrics.render,
)
PROTOBUF = Format(
    "application/vnd.google.protobuf",
    {"proto": frozenset({"io.prometheus.client.MetricFamily"}), "encoding": frozenset({"delimited"})},
    protobuf.CONTENT_TYPE,
    protobuf.render,
)
#: By preference where the scraper's is equal. Classic text is first: it is what `*/*`, browsers and curl expect.
FORMATS = (TEXT, OPENMETRICS, PROTOBUF)


def negotiate(accept: str) -> Choice:
    """What the header likes best; classic text when it names nothing of ours (Prometheus 3 needs some answer).

    Of several ranges that match a format the most specific one gives its q-value (RFC 9110, 12.5.1), and of those the
    one with the highest q-value the escaping. Unknown schemes are the default's, underscores: every scraper reads it.
    """
    ranges = [one for one in map(_range, accept.split(",")) if one is not None]
    found = [(form, _best(form, ranges)) for form in FORMATS]
    form, best = max(found, key=lambda one: one[1].quality)  # the first of equals
    if best.quality <= 0:
        return Choice(TEXT, Escaping.UNDERSCORES, TEXT.content_type)
    asked = best.parameters.get("escaping")
    scheme = SPELLINGS.get(asked or "", Escaping.UNDERSCORES)
    content_type = form.content_type
    if scheme is Escaping.UTF8 and form is TEXT:
        content_type = content_type.replace("0.0.4", "1.0.0")  # the version whose names may be quoted
    return Choice(form, scheme, f"{content_type}; escaping={scheme}" if asked else content_type)


@dataclass(frozen=True, slots=True)
class _Range:
    media: str
    parameters: Mapping[str, str]
    quality: float


_NOTHING = _Range("", {}, 0.0)


def _range(part: str) -> _Range | None:
    media, *rest = (piece.strip() for piece in part.split(";"))
    parameters: dict[str, str] = {}
    for parameter in rest:
        key, _, value = parameter.partition("=")
        parameters[key.strip().lower()] = value.strip().strip('"')
    try:
        quality = min(1.0, max(0.0, float(parameters.pop("q", "1"))))
    except ValueError:
        return None  # a range whose weight cannot be read says nothing
    return _Range(media.lower(), parameters, quality) if media else None


def _best(form: Format, ranges: Iterable[_Range]) -> _Range:
    kind = form.media.partition("/")[0]
    matches = [
        ((one.media == form.media) + (one.media != "*/*") + len(form.parameters.keys() & one.parameters.keys()), one)
        for one in ranges
        if one.media in (form.media, f"{kind}/*", "*/*")
        and all(one.parameters[key] in allowed for key, allowed in form.parameters.items() if key in one.parameters)
    ]
    most = max((level for level, _ in matches), default=0)
    return max((one for level, one in matches if level == most), key=lambda one: one.quality, default=_NOTHING)
