"""The ordering rules of one stream: which points continue it, restart it, repeat it or come too late (DESIGN, bridge).

A stream is one metric's one attribute set from one process. Nothing here reads a clock: the time at which a point was
received comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce

from sidecar.bridge.exemplars import newest_one
from sidecar.bridge.model import Exemplar, Kind, Value
from sidecar.bridge.points import Point
from sidecar.bridge.values import add, exemplars_of, fell, keep_newest, subtract

#: Restarts of one stream that are told apart; older ones are only a sum. Workers that share an identity need one each.
MAX_INCARNATIONS = 16
#: Delta windows remembered to recognise repeated ones.
MAX_WINDOWS = 16
#: A stored time this far after the receiver's clock was written by a clock that has since been set back.
CLOCK_SLACK_NS = 1_000_000_000


class Outcome(StrEnum):
    """What became of a point. The last two were not used; their words are the drop reasons."""

    CONTINUED = "continued"
    RESET = "reset"
    INTERLEAVED = "interleaved"
    DUPLICATE = "duplicate"
    STALE = "stale"


@dataclass(slots=True)
class Incarnation:
    """What a process has counted since one start time.

    Attributes:
        start_ns: its start time; 0 when the source does not say.
        time_ns: of the last point used.
        value: of the last point used.
        after_ns: points up to this time belong to what a reset without a new start time has already folded.
        before: what is counted elsewhere already: see `Cumulative.adopt`.
    """

    start_ns: int
    time_ns: int
    value: Value
    after_ns: int = 0
    before: Value | None = None

    def counted(self) -> Value:
        """Its share of the total."""
        return self.value if self.before is None else subtract(self.value, self.before)


class Cumulative:
    """Points that each hold everything since a start time; their sum over start times never counts anything twice.

    Keeping a value per start time makes late points of an earlier incarnation exact, and two processes that share one
    identity (a fixed `service.instance.id` in the pod's environment) as well: their starts differ.

    Attributes:
        monotonic: whether a lower value means that the process began anew.
        current: the incarnation with the newest start.
        earlier: those before, oldest first.
        folded: the sum of incarnations no longer told apart.
        floor_ns: the newest start among `folded`.
        adopted_ns: what began or was read up to this time is counted elsewhere: see `adopt`.
        exemplars: of a number.
    """

    __slots__ = ("adopted_ns", "current", "earlier", "exemplars", "floor_ns", "folded", "monotonic")

    def __init__(self, point: Point, value: Value, *, monotonic: bool = True) -> None:
        self.monotonic = monotonic
        self.current = Incarnation(point.start_ns, point.time_ns, value)
        self.earlier: tuple[Incarnation, ...] = ()
        self.folded: Value | None = None
        self.floor_ns = -1
        self.adopted_ns = -1
        self.exemplars = newest_one(point.exemplars)

    def adopt(self, added_up_ns: int) -> None:
        """Counts from here on only.

        For a worker that was taken for dead, was added up for good with points up to `added_up_ns`, and reports again:
        what its first value adds to what was counted is not known any more, and counting it twice would be worse than
        missing one interval.
        """
        self.adopted_ns = added_up_ns
        self.current = self._begin(self.current.start_ns, self.current.time_ns, self.current.value)

    def settle(self) -> None:
        """Counts what comes beyond the values it has: those were added up for good, and nothing since is lost."""
        self.folded = None
        for part in (*self.earlier, self.current):
            part.before = part.value

    def offer(self, point: Point, value: Value, received_ns: int) -> Outcome:
        """Uses the point, or says why not."""
        if point.time_ns <= self.adopted_ns:
            return Outcome.STALE
        start = point.start_ns or self.current.start_ns
        if self.current.start_ns == 0:
            # A source that tells its start time late has not restarted because of it.
            self.current.start_ns = start
        if start == self.current.start_ns:
            outcome = self._continue(self.current, point, value, received_ns)
        elif start > self.current.start_ns:
            self._retire(self.current)
            self.current = self._begin(start, point.time_ns, value)
            outcome = Outcome.RESET
        else:
            outcome = self._before(start, point, value, received_ns)
        if outcome not in (Outcome.STALE, Outcome.DUPLICATE) and point.exemplars:
            self.exemplars = newest_one((*self.exemplars, *point.exemplars))
        return outcome

    def total(self) -> Value:
        """Everything ever counted: for counters and histograms."""
        if self.folded is None and not self.earlier:
            return self.current.counted()
        return _sum(self.folded, (*(part.counted() for part in self.earlier), self.current.counted()))

    def level(self, within_ns: int) -> Value:
        """What is counted now: for sums that go down too. A process that has ended takes its share with it.

        Of several incarnations those count that still reported after the newest one began, and not longer than
        `within_ns` before its last point: processes that share an identity and are alive together.
        """
        now = self.current
        alive = [
            part.value
            for part in self.earlier
            if part.time_ns > now.start_ns and part.time_ns > now.time_ns - within_ns
        ]
        return _sum(None, (*alive, now.value))

    @property
    def start_ns(self) -> int:
        """The oldest start that is told apart."""
        return self.earlier[0].start_ns if self.earlier else self.current.start_ns

    @property
    def time_ns(self) -> int:
        """When the newest incarnation was last read."""
        return self.current.time_ns

    def _continue(self, part: Incarnation, point: Point, value: Value, received_ns: int) -> Outcome:
        if point.time_ns <= part.after_ns:
            return Outcome.STALE
        if point.time_ns == part.time_ns:
            return Outcome.DUPLICATE
        # After the node's clock was set back, new points look old until it catches up; they must not be lost.
        if point.time_ns < part.time_ns and part.time_ns <= received_ns + CLOCK_SLACK_NS:
            return Outcome.STALE
        if self.monotonic and fell(value, part.value):
            self._fold(part)
            part.after_ns, part.time_ns, part.value, part.before = part.time_ns, point.time_ns, value, None
            return Outcome.RESET
        part.time_ns, part.value = point.time_ns, keep_newest(value, exemplars_of(part.value))
        return Outcome.CONTINUED

    def _before(self, start: int, point: Point, value: Value, received_ns: int) -> Outcome:
        for part in self.earlier:
            if part.start_ns == start:
                outcome = self._continue(part, point, value, received_ns)
                break
        else:
            if start <= self.floor_ns:
                return Outcome.STALE
            self._retire(self._begin(start, point.time_ns, value))
            outcome = Outcome.CONTINUED
        if outcome is Outcome.CONTINUED and point.time_ns > self.current.start_ns:
            return Outcome.INTERLEAVED
        return outcome

    def _retire(self, part: Incarnation) -> None:
        kept = sorted((*self.earlier, part), key=lambda one: one.start_ns)
        while len(kept) >= MAX_INCARNATIONS:
            oldest = kept.pop(0)
            self.floor_ns = max(self.floor_ns, oldest.start_ns)
            self._fold(oldest)
        self.earlier = tuple(kept)

    def _begin(self, start_ns: int, time_ns: int, value: Value) -> Incarnation:
        return Incarnation(start_ns, time_ns, value, before=value if start_ns <= self.adopted_ns else None)

    def _fold(self, part: Incarnation) -> None:
        self.folded = part.counted() if self.folded is None else add(self.folded, part.counted())


class Delta:
    """Points that each hold one window; a window is counted once, in whatever order they come.

    Attributes:
        start_ns: of the first window.
        time_ns: end of the newest window.
        value: the sum of all windows.
        windows: the newest (start, time) pairs, oldest first.
        adopted_ns: windows up to this time are counted elsewhere: see `adopt`.
        exemplars: of a number.
    """

    __slots__ = ("adopted_ns", "exemplars", "start_ns", "time_ns", "value", "windows")

    def __init__(self, point: Point, value: Value) -> None:
        self.start_ns = point.start_ns
        self.time_ns = point.time_ns
        self.value = value
        self.windows: tuple[tuple[int, int], ...] = ((point.start_ns, point.time_ns),)
        self.adopted_ns = -1
        self.exemplars = newest_one(point.exemplars)

    def adopt(self, added_up_ns: int) -> None:
        """Counts windows after `added_up_ns` only, up to which the worker was added up for good."""
        self.adopted_ns = added_up_ns

    def settle(self) -> None:
        """Counts what comes beyond the windows it has: those were added up for good."""
        self.value = subtract(self.value, self.value)

    def offer(self, point: Point, value: Value, received_ns: int) -> Outcome:
        """Counts the window, unless it was counted or is older than what is remembered."""
        window = (point.start_ns, point.time_ns)
        if point.time_ns <= self.adopted_ns:
            return Outcome.STALE
        if window in self.windows:
            return Outcome.DUPLICATE
        full = len(self.windows) >= MAX_WINDOWS
        if full and point.time_ns <= self.windows[0][1] and self.windows[0][1] <= received_ns + CLOCK_SLACK_NS:
            return Outcome.STALE
        overlaps = any(start < window[1] and window[0] < end for start, end in self.windows if start and window[0])
        self.windows = tuple(sorted((*self.windows, window), key=lambda one: one[1])[-MAX_WINDOWS:])
        self.value = add(self.value, value)
        self.time_ns = max(self.time_ns, point.time_ns)
        self.exemplars = newest_one((*self.exemplars, *point.exemplars))
        return Outcome.INTERLEAVED if overlaps else Outcome.CONTINUED

    def total(self) -> Value:
        """Everything ever counted."""
        return self.value

    def level(self, within_ns: int) -> Value:  # noqa: ARG002 - the same question as to a cumulative stream
        """The same: a delta stream has one running sum."""
        return self.value


class Last:
    """A gauge: the newest point is all there is."""

    __slots__ = ("exemplars", "start_ns", "time_ns", "value")

    def __init__(self, point: Point, value: Value) -> None:
        self.start_ns = point.start_ns
        self.time_ns = point.time_ns
        self.value = value
        self.exemplars: tuple[Exemplar, ...] = ()  # gauges carry none in Prometheus (compat spec 1.60, "Gauges")

    def offer(self, point: Point, value: Value, received_ns: int) -> Outcome:
        """Takes the point when it is newer."""
        if point.time_ns == self.time_ns:
            return Outcome.DUPLICATE
        if point.time_ns < self.time_ns <= received_ns + CLOCK_SLACK_NS:
            return Outcome.STALE
        self.time_ns, self.value = point.time_ns, value
        return Outcome.CONTINUED

    def total(self) -> Value:
        """The last value."""
        return self.value

    def level(self, within_ns: int) -> Value:  # noqa: ARG002 - the same question as to a cumulative stream
        """The last value."""
        return self.value


Stream = Cumulative | Delta | Last


def begin(kind: Kind, point: Point, value: Value, *, delta: bool) -> Stream:
    """The stream that a first point opens."""
    if kind is Kind.GAUGE:
        return Last(point, value)
    return Delta(point, value) if delta else Cumulative(point, value, monotonic=kind is not Kind.UPDOWN)


def _sum(first: Value | None, rest: Iterable[Value]) -> Value:
    values: list[Value] = [*(() if first is None else (first,)), *rest]
    return reduce(add, values)
