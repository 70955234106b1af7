"""Secrets come from files, are read again when they change, and survive a rotation in progress."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.options import OptionError
from sidecar.relay.headers import Headers
from sidecar.values import Header


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("Bearer one\n")
    headers = Headers([Header("authorization", file=str(secret)), Header("x-team", "ml")])
    assert headers.current() == [("authorization", "Bearer one"), ("x-team", "ml")]
    secret.write_text("Bearer two\n")
    os.utime(secret, ns=(1, 1))
    assert headers.current()[0] == ("authorization", "Bearer two")
    secret.unlink()
    assert headers.current()[0] == ("authorization", "Bearer two")
    secret.write_text("")
    os.utime(secret, ns=(2, 2))
    assert headers.current()[0] == ("authorization", "Bearer two")


@pytest.mark.parametrize("content", [None, "", "two\nlines"])
def test_a_file_that_cannot_be_used_is_told_at_start(tmp_path: Path, content: str | None) -> None:
    secret = tmp_path / "token"
    if content is not None:
        secret.write_text(content)
    with pytest.raises(OptionError, match=rf"^--forward-header \(or OTEL_SIDECAR_FORWARD_HEADER\) key=@{secret}: "):
        Headers([Header("key", file=str(secret))])
