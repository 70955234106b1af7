"""Pauses grow to a bound, are jittered over their whole range, and never shorter than the target asked for."""

from __future__ import annotations

from sidecar.relay.backoff import Backoff


def test_pauses_double_up_to_the_bound() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.pause(None) for _ in range(8)] == [0.5, 1, 2, 4, 8, 15, 15, 15]


def test_jitter_is_full() -> None:
    assert Backoff(lambda: 0.0).pause(None) == 0
    assert Backoff(lambda: 0.5).pause(None) == 0.25


def test_the_target_s_wish_is_kept_up_to_a_minute() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.pause(3.0), backoff.pause(1e9), backoff.pause(0.0)] == [3, 60, 2]
