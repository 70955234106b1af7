"""The stage that takes every worker's metric batches and answers scrapes with the pod's totals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.batch import Accepted, Batch, Refusal, Signal
from sidecar.bridge import merge, snapshot, stats
from sidecar.bridge.decode import InvalidExportError, decode
from sidecar.bridge.entries import Limits
from sidecar.bridge.expose import exposition
from sidecar.bridge.model import Attributes, Family
from sidecar.bridge.negotiate import negotiate
from sidecar.bridge.notices import Notices, logger
from sidecar.bridge.points import Problem
from sidecar.bridge.rules import Rule, rule_for
from sidecar.bridge.state import DamagedStateError, StateFile
from sidecar.bridge.stats import BridgeStats
from sidecar.bridge.store import Store
from sidecar.bridge.workers import shared_attributes
from sidecar.contract.model import View


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """What the bridge is told at start.

    Attributes:
        views: further names for metrics, from the contract.
        merge: rules for gauges and up-down counters by OTel name, from the contract; others have defaults.
        state_dir: where the totals outlive the process; None keeps them in memory only.
        limits: what bounds memory.
    """

    views: tuple[View, ...] = ()
    merge: Mapping[str, str] = field(default_factory=dict)
    state_dir: Path | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Exposition:
    """The answer to a scrape."""

    content_type: str
    body: bytes


class Bridge:
    """Merges all workers of a pod; implements `Stage` for metrics.

    A lock makes it usable from several threads; nothing is held while bytes are decoded or rendered.

    Raises:
        StateError: the state directory cannot be used.
        ValueError: a merge rule that does not exist.
    """

    def __init__(self, settings: BridgeSettings, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._settings = settings
        self._now_ns = now_ns
        self._started_ns = now_ns()
        self._rules = {name: Rule(rule) for name, rule in settings.merge.items()}
        self._lock = threading.Lock()
        self._notices = Notices()
        self._store = Store(settings.limits)
        self._changed = False
        self._state_bytes = 0
        self._state_failures = 0
        self._state = StateFile(settings.state_dir) if settings.state_dir else None
        if self._state:
            self._restore(self._state)

    def offer(self, batch: Batch) -> Accepted | Refusal:
        """Takes a batch; points that cannot be used are rejected alone (OTLP's partial success).

        A repeated or late point is no fault of the sender's: it is dropped, counted and not reported back.
        """
        if batch.signal is not Signal.METRICS:
            return Accepted()
        try:
            decoded = decode(batch.body)
        except InvalidExportError as error:
            return Refusal("invalid", str(error))
        with self._lock:
            for export in decoded.exports:
                self._store.offer(export, batch.received_ns)
            for problem in decoded.problems:
                self._store.tally.points += problem.points
                self._store.tally.dropped[problem.reason] += problem.points
                self._notices.once(problem.reason, problem.metric, problem.detail)
            self._changed = True
        rejected = sum(problem.points for problem in decoded.problems)
        if not rejected:
            return Accepted()
        first = decoded.problems[0]
        return Accepted(rejected, f"{first.metric or 'a metric'}: {first.detail}"[:500])

    def expose(self, accept: str = "", own: Sequence[Family] = ()) -> Exposition:
        """Answers a scrape in the format that the Accept header asks for; the state is saved before.

        Args:
            accept: the Accept header.
            own: the sidecar's other families; the bridge's own are there already.
        """
        with self._lock:
            merged, problems = self._merged()
            resource = self._resource()
            if self._changed:
                self._save()
            current = self._stats()
        metrics, more = exposition(
            merged,
            self._settings.views,
            resource,
            (*own, *stats.families(current)),
            lambda family: rule_for(family.name, family.kind, self._rules),
        )
        with self._lock:
            self._notices.showing((*problems, *more, *self._overflows()))
            for one in self._suspicions():
                self._notices.once(one.reason, one.metric, one.detail)
        form = negotiate(accept)
        return Exposition(form.content_type, form.render(metrics))

    def families(self) -> tuple[Family, ...]:
        """The pod's totals by OTel name, one family per metric and scope."""
        with self._lock:
            return self._merged()[0]

    def resource(self) -> Attributes:
        """The resource attributes that all workers share, without those that name one process."""
        with self._lock:
            return self._resource()

    def stats(self) -> BridgeStats:
        """How it is doing."""
        with self._lock:
            self._store.sweep(self._now_ns())
            return self._stats()

    def close(self) -> None:
        """Saves the state a last time."""
        with self._lock:
            self._save()

    def _merged(self) -> tuple[tuple[Family, ...], tuple[Problem, ...]]:
        now = self._now_ns()
        self._store.sweep(now)
        return merge.families(self._store, self._rules, now)

    def _resource(self) -> Attributes:
        workers = self._store.workers.values()
        alive = [worker.identity for worker in workers if worker.alive]
        return shared_attributes(alive or [worker.identity for worker in workers])

    def _stats(self) -> BridgeStats:
        store, workers = self._store, self._store.workers.values()
        return BridgeStats(
            workers=sum(worker.alive for worker in workers),
            workers_ended=sum(not worker.alive for worker in workers),
            workers_shared=sum(worker.shared for worker in workers),
            workers_ghost=sum(worker.ghost for worker in workers),
            streams=store.streams,
            series=store.series,
            points=store.tally.points,
            dropped=dict.fromkeys(stats.DROP_REASONS, 0) | store.tally.dropped,
            resets=store.tally.resets,
            adopted=store.tally.adopted,
            overflowed=stats.overflowed(store),
            left_out=self._notices.current,
            state_bytes=self._state_bytes,
            state_failures=self._state_failures,
            started_ns=self._started_ns,
        )

    def _suspicions(self) -> list[Problem]:
        """What may make totals wrong without any metric being at fault; `metric` is the process or service."""
        found = []
        services = sorted({dict(worker.identity).get("service.name", "") for worker in self._store.workers.values()})
        if len(services) > 1:
            detail = "several services report to this sidecar; their metrics of one name and labels are added up"
            found.append(Problem("several_services", ", ".join(services), detail, 0))
        for worker in self._store.workers.values():
            name = dict(worker.identity).get("service.instance.id", "")
            if worker.shared:
                detail = (
                    "several processes report under these same resource attributes; counters are kept apart by their "
                    "start times, gauges cannot be: give each process its own service.instance.id"
                )
                found.append(Problem("shared_identity", name, detail, 0))
            if worker.ghost:
                detail = (
                    "counts since the same instant as another process: its SDK kept the totals of before a fork "
                    "(opentelemetry-python #4767), so they are in the sum more than once"
                )
                found.append(Problem("fork_ghost", name, detail, 0))
        return found

    def _overflows(self) -> list[Problem]:
        found = []
        for metric, labels in stats.overflowed(self._store).items():
            most = max(labels.items(), key=lambda item: item[1], default=("", 0))
            detail = f'too many series; the rest is in otel_metric_overflow="true". Most values: {most[0]} ({most[1]})'
            found.append(Problem("overflow", metric, detail, 0))
        return found

    def _restore(self, state: StateFile) -> None:
        try:
            saved = state.load()
            if saved is not None:
                store = Store(self._settings.limits)
                snapshot.restore(saved, store)
                self._store = store
        except (DamagedStateError, ValueError) as error:
            aside = state.set_aside()
            logger.error(
                "state file %s is damaged (%s): set aside as %s, totals start from what the workers report",
                state.path,
                error,
                aside.name,
            )

    def _save(self) -> None:
        if self._state is None:
            return
        try:
            self._state_bytes = self._state.save(snapshot.take(self._store))
            self._changed = False
        except (OSError, ValueError) as error:
            # The scrape is answered all the same: a total that may fall after a restart is better than no metrics now.
            self._state_failures += 1
            self._notices.once("state_not_saved", str(self._state.path), str(error))
