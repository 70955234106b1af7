"""The state file holds what Prometheus has seen, or is set aside; it is never half a file."""

from __future__ import annotations

import errno
import math
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.bridge import snapshot, state
from sidecar.bridge.entries import Limits
from sidecar.bridge.merge import families
from sidecar.bridge.model import Attributes, ExponentialValue, Family, HistogramValue, Kind, SummaryValue, Value
from sidecar.bridge.points import Descriptor, Export, MetricPoints, Point, Scope
from sidecar.bridge.state import NAME, DamagedStateError, StateError, StateFile
from sidecar.bridge.store import Store

NOW = 10**18
VALUES: dict[Kind, tuple[Value, Value]] = {
    Kind.COUNTER: (2**60, 2**60 + 5),
    Kind.HISTOGRAM: (HistogramValue((0.1, 1.0), (1, 2, 3), 4.5, 6), HistogramValue((0.1, 1.0), (2, 2, 3), 4.6, 7)),
    Kind.EXPONENTIAL: (
        ExponentialValue(3, 1, 0.0, -5, (1, 2), 4, (7,), 1.0, 11),
        ExponentialValue(3, 1, 0.0, -5, (1, 3), 4, (7,), 1.5, 12),
    ),
    Kind.SUMMARY: (SummaryValue(1.5, 2), SummaryValue(2.5, 3)),
}


def offer(store: Store, worker: str, place: int, *, start: int, time: int, delta: bool = False) -> None:
    attributes: Attributes = (("k", "v"),)
    metrics = tuple(
        MetricPoints(
            Descriptor(Scope("lib", "1", "url", (("a", "b"),)), f"m.{kind}", kind, "s"),
            "Words.",
            delta,
            (Point(attributes, start, time, values[place]),),
        )
        for kind, values in VALUES.items()
    )
    store.offer(Export((("w", worker),), metrics), NOW)


def shown(store: Store) -> tuple[Family, ...]:
    store.sweep(NOW)
    return families(store, {}, NOW)[0]


def again(store: Store, directory: Path, limits: Limits | None = None) -> Store:
    file = StateFile(directory)
    file.save(snapshot.take(store))
    loaded = file.load()
    assert loaded is not None
    file.close()
    fresh = Store(limits)
    snapshot.restore(loaded, fresh)
    return fresh


def test_everything_that_was_counted_comes_back(tmp_path: Path) -> None:
    """Live and ended workers, restarts, deltas, what was added up for good, and every kind of value."""
    store = Store(Limits(dead_workers=0))
    offer(store, "ended", 1, start=1, time=NOW - 10**15)
    store.workers[("w", "ended"),].rhythm.heard_ns = 1
    store.sweep(NOW)
    assert store.tombstones.held
    offer(store, "live", 1, start=2, time=NOW - 100)
    offer(store, "live", 0, start=2, time=NOW - 90)  # lower: a reset under the same start
    offer(store, "live", 0, start=NOW - 80, time=NOW - 70)  # a newer start
    offer(store, "delta", 1, start=3, time=NOW - 60, delta=True)
    fresh = again(store, tmp_path)
    assert shown(fresh) == shown(store)
    assert (fresh.series, fresh.streams) == (store.series, store.streams)
    for one in (store, fresh):
        offer(one, "live", 1, start=NOW - 80, time=NOW - 50)  # goes on
        offer(one, "live", 1, start=2, time=NOW - 95)  # belongs to what the reset folded
        offer(one, "delta", 1, start=3, time=NOW - 60, delta=True)  # a repeated window
        offer(one, "ended", 1, start=1, time=NOW - 10**14)  # comes back
    assert shown(fresh) == shown(store)
    assert fresh.tally.dropped == store.tally.dropped


def test_overflowed_streams_are_found_again(tmp_path: Path) -> None:
    """Their attributes are kept as a digest only."""
    limits = Limits(series_per_metric=1)
    store = Store(limits)
    points = tuple(Point((("k", str(n)),), 1, NOW - 10, 1) for n in range(3))
    export = Export((), (MetricPoints(Descriptor(Scope(), "m", Kind.COUNTER), "", False, points),))
    store.offer(export, NOW)
    fresh = again(store, tmp_path, limits)
    fresh.offer(export, NOW)
    assert shown(fresh) == shown(store)
    assert fresh.tally.dropped == {"duplicate": 3}


def test_gauges_are_not_kept(tmp_path: Path) -> None:
    store = Store()
    for kind in (Kind.GAUGE, Kind.UPDOWN):
        points = MetricPoints(Descriptor(Scope(), f"m.{kind}", kind), "", False, (Point((), 1, NOW, 1),))
        store.offer(Export((), (points,)), NOW)
    assert shown(again(store, tmp_path)) == ()


def test_huge_and_missing_numbers_survive(tmp_path: Path) -> None:
    store = Store()
    for name, kind, value in (
        ("big", Kind.COUNTER, 2**70),
        ("none", Kind.HISTOGRAM, HistogramValue((), (1,), math.nan, 1)),
    ):
        points = MetricPoints(Descriptor(Scope(), name, kind), "", False, (Point((), 1, NOW, value),))
        store.offer(Export((), (points,)), NOW)
    big, none = (family.series[0].value for family in shown(again(store, tmp_path)))
    assert big == float(2**70)
    assert isinstance(none, HistogramValue)
    assert math.isnan(none.sum)


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "new" / "folder").load() is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda _: b"", "0 bytes that do not begin like a state file"),
        (lambda _: b"hello", "5 bytes that do not begin like a state file"),
        (lambda data: data[:-1], "the checksum does not fit the content"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "the checksum does not fit the content"),
    ],
    ids=["empty", "foreign", "cut", "flipped"],
)
def test_damage_is_noticed(tmp_path: Path, damage: object, reason: str) -> None:
    store = Store()
    offer(store, "a", 0, start=1, time=2)
    file = StateFile(tmp_path)
    file.save(snapshot.take(store))
    assert callable(damage)
    file.path.write_bytes(damage(file.path.read_bytes()))
    with pytest.raises(DamagedStateError) as error:
        file.load()
    assert str(error.value) == reason


def test_another_versions_file_is_set_aside_like_a_damaged_one(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.save(snapshot.Snapshot(99, (), (), ()))
    loaded = file.load()
    assert loaded is not None
    with pytest.raises(ValueError, match="state of format 99; this version reads 1"):
        snapshot.restore(loaded, Store())


def test_files_set_aside_do_not_replace_each_other(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    asides = set()
    for content in (b"1", b"2", b"3"):
        file.path.write_bytes(content)
        asides.add(file.set_aside())
    assert {aside.read_bytes() for aside in asides} == {b"1", b"2", b"3"}
    assert all(aside.name.startswith(f"{NAME}.damaged-") for aside in asides)


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"state directory .*/file/state: Not a directory"):
        StateFile(tmp_path / "file" / "state")


def test_a_failed_save_leaves_the_old_state(tmp_path: Path) -> None:
    store = Store()
    offer(store, "a", 0, start=1, time=2)
    file = StateFile(tmp_path)
    file.save(snapshot.take(store))
    before = file.path.read_bytes()
    (tmp_path / f"{NAME}.tmp").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        file.save(snapshot.take(Store()))
    assert file.path.read_bytes() == before


@pytest.mark.integration
def test_the_directory_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The lock ends with its process, so that nobody has to clean up after a SIGKILL."""
    code = "import sys; from sidecar.bridge.state import *; f = StateFile(Path(sys.argv[1])); print(1); input()"
    with subprocess.Popen(
        [sys.executable, "-uc", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"1\n"
        with pytest.raises(StateError, match="is in use by another sidecar"):
            StateFile(tmp_path)
        other.kill()
        other.wait()
    StateFile(tmp_path)


def test_a_file_system_without_locks_is_used_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(state, "_lock", none)
    assert StateFile(tmp_path).load() is None
