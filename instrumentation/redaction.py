"""What of a model's input may be written down: nothing unless asked, and then not what looks private."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from instrumentation.limits import CUT, MAX_ITEMS, cut_text, describe

REDACTED: Final = "REDACTED"
# A field is private when its name, in lower case and without separators, ends in one of these.
PRIVATE_KEYS: Final = (
    "password", "passwd", "secret", "token", "authorization", "apikey", "cookie", "sessionid", "creditcard",
    "cardnumber", "cvv", "iban", "ssn", "email", "phone", "phonenumber",
)  # fmt: skip
PRIVATE_TEXT: Final = (
    r"[\w.+-]+@[\w-]+\.[\w.-]+",  # mail addresses
    r"\b(?:\d[ -]?){12,18}\d\b",  # card and account numbers
    r"(?i)\bbearer\s+\S+",
    r"\beyJ[\w-]+\.[\w-]+\.[\w-]*",  # JSON web tokens
)
_MAX_DEPTH: Final = 6
_SEPARATORS: Final = re.compile(r"[^0-9a-z]+")


@dataclass(frozen=True, slots=True)
class Redaction:
    """Rules that an input goes through before it is recorded.

    Attributes:
        keys: further fields whose value is private, by the end of their name; case and separators do not matter.
        patterns: further regular expressions whose matches in texts are private.
        defaults: whether the usual rules hold too: passwords, tokens, mail addresses, card numbers and the like.
        max_text: characters of the whole recorded text.

    Raises:
        ValueError: a pattern is no regular expression; names it.
    """

    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    defaults: bool = True
    max_text: int = 2048
    _keys: tuple[str, ...] = ()
    _pattern: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        keys = (*self.keys, *(PRIVATE_KEYS if self.defaults else ()))
        patterns = (*self.patterns, *(PRIVATE_TEXT if self.defaults else ()))
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"Redaction(patterns={pattern!r}): no regular expression: {error}") from error
        object.__setattr__(self, "_keys", tuple(_plain(key) for key in keys))
        # A flag at a pattern's start would hold for all when they are joined by `|`: each is its own group.
        joined = "|".join(_grouped(pattern) for pattern in patterns)
        object.__setattr__(self, "_pattern", re.compile(joined) if patterns else None)

    def text(self, value: Any) -> str:
        """The value as JSON text without what is private, cut to `max_text` characters."""
        return cut_text(json.dumps(self._clean(value, 0), ensure_ascii=False), self.max_text)

    def _clean(self, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            # Digits are as private in a number as in a text.
            return REDACTED if self._pattern and self._pattern.fullmatch(str(value)) else value
        if depth >= _MAX_DEPTH:
            return CUT
        if isinstance(value, Mapping):
            return self._clean_mapping(value, depth)
        if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
            items = [self._clean(item, depth + 1) for item in value[:MAX_ITEMS]]
            return [*items, CUT] if len(value) > MAX_ITEMS else items
        # Bounded before the expressions look at it: an input may be a book.
        text = describe(value)[: self.max_text + 1]
        return self._pattern.sub(REDACTED, text) if self._pattern else text

    def _clean_mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        cleaned: dict[str, Any] = {}
        for key, item in value.items():
            if len(cleaned) == MAX_ITEMS:
                cleaned[CUT] = len(value) - MAX_ITEMS
                break
            name = str(key)
            private = _plain(name).endswith(self._keys) if self._keys else False
            cleaned[name] = REDACTED if private else self._clean(item, depth + 1)
        return cleaned


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name.lower())


def _grouped(pattern: str) -> str:
    """The pattern as a group; flags at its start (`(?i)`) become the group's."""
    if flags := re.match(r"\(\?([aiLmsux]+)\)", pattern):
        return f"(?{flags[1]}:{pattern[flags.end() :]})"
    return f"(?:{pattern})"
