"""Why a body can't be taken, as types, so that nobody reads an error's text to know what to answer.

UnfitError
├── MalformedError          no valid request; the same bytes never will be
├── TooLargeError           above a limit
│   └── TooManyFieldsError  of fields, which cost time where bytes cost memory
└── UnsupportedError        a content-encoding that is not spoken here
"""

from __future__ import annotations

from typing import ClassVar

from sidecar.ledger import Refused


class UnfitError(ValueError):
    """The body can't be taken; the text says what is wrong and where."""

    reason: ClassVar[Refused]


class MalformedError(UnfitError):
    """The body is no valid export request."""

    reason = Refused.MALFORMED


class TooLargeError(UnfitError):
    """The body is larger than a limit."""

    reason = Refused.TOO_LARGE


class TooManyFieldsError(TooLargeError):
    """The body holds more fields than a limit."""


class UnsupportedError(UnfitError):
    """The body is compressed in a way that is not spoken here."""

    reason = Refused.UNSUPPORTED
