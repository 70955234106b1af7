"""Where an exporter sends to, checked once, so that nothing behind it has to parse or trust a URL. Pure."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The URL of one OTLP/HTTP signal.

    Attributes:
        secure: TLS or not.
        host: name or address, without brackets.
        port: the URL's, or the scheme's.
        target: path and query as the request line wants them.
        authority: host and port as the `Host` header wants them.
        authorization: an `Authorization` header from the URL's `user:password@`, or empty.
    """

    secure: bool
    host: str
    port: int
    target: str
    authority: str
    authorization: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str, append: str = "") -> Endpoint:
        """Reads a URL, adding `append` (`v1/traces`) to its path.

        Raises:
            ValueError: what is wrong with it, without the URL itself: it may hold a password.
        """
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("it holds a blank, a control or a non-ASCII character")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"}:
            raise ValueError("it does not begin with http:// or https://")
        if not parts.hostname:
            raise ValueError("it names no host")
        secure = parts.scheme == "https"
        port = parts.port  # raises ValueError itself
        path = f"{parts.path.rstrip('/')}/{append}" if append else parts.path or "/"
        login = ""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            login = "Basic " + b64encode(pair.encode()).decode()
        return cls(
            secure=secure,
            host=parts.hostname,
            port=(443 if secure else 80) if port is None else port,
            target=f"{path}?{parts.query}" if parts.query else path,
            authority=parts.netloc.rpartition("@")[2],
            authorization=login,
        )

    def __str__(self) -> str:
        """The URL, fit for a log: without credentials and query."""
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.target.partition('?')[0]}"
