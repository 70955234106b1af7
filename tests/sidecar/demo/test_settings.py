"""The demo's options: read or refused in a sentence."""

from __future__ import annotations

import pytest

from sidecar.demo.settings import Settings, read_settings


def test_defaults() -> None:
    """Without options it runs until it is stopped."""
    assert read_settings([]) == Settings(None, (), 2, 25)


def test_everything_can_be_told() -> None:
    told = read_settings(
        ["--for", "2m", "--workers", "4", "--rate", "50", "--forward", "http://a:4318", "--forward", "grpc://b:4317"]
    )
    assert (told.seconds, told.workers, told.rate) == (120, 4, 50)
    assert [target.url for target in told.forward] == ["http://a:4318", "grpc://b:4317"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "soon"], "--for 'soon': a duration is a number with ms, s, m or h"),
        (["--for", "0s"], "--for '0s': a time above 0 is needed"),
        (["--forward", "ftp://x"], "--forward 'ftp://x': a target is http://HOST:PORT"),
        (["--workers", "0"], "--workers '0': a number from 1 to 64"),
        (["--rate", "fast"], "--rate 'fast': a number from 1 to 1000"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_a_wrong_value_is_named(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, the option, the value and what is allowed."""
    with pytest.raises(SystemExit) as ended:
        read_settings(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
