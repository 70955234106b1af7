"""The stage that takes every worker's metric batches and answers scrapes with the pod's totals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.batch import Accepted, Batch, Refusal, Signal
from sidecar.bridge import merge, snapshot, stats
from sidecar.bridge.decode import InvalidExportError, decode
from sidecar.bridge.entries import Limits
from sidecar.bridge.expected import Expected
from sidecar.bridge.expose import exposition, only, rendered
from sidecar.bridge.model import Attributes, Family
from sidecar.bridge.names import Naming, Translation
from sidecar.bridge.negotiate import negotiate
from sidecar.bridge.notices import Notices, logger
from sidecar.bridge.points import Problem
from sidecar.bridge.rules import Rule, rule_for
from sidecar.bridge.snapshot import Snapshot
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
        translation: how much OTel names are changed for Prometheus, from the contract.
    """

    views: tuple[View, ...] = ()
    merge: Mapping[str, str] = field(default_factory=dict)
    state_dir: Path | None = None
    limits: Limits = field(default_factory=Limits)
    translation: str = Translation.UNDERSCORES


@dataclass(frozen=True, slots=True)
class Exposition:
    """The answer to a scrape."""

    content_type: str
    body: bytes


class Bridge:
    """Merges all workers of a pod; implements `Stage` for metrics.

    A lock makes it usable from several threads; nothing is held while bytes are decoded, rendered or written to disk,
    so a slow disk delays scrapes and never the receivers.

    Raises:
        StateError: the state directory cannot be used.
        ValueError: a merge rule or translation that does not exist.
    """

    def __init__(self, settings: BridgeSettings, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._settings = settings
        self._now_ns = now_ns
        self._started_ns = now_ns()
        self._rules = {name: Rule(rule) for name, rule in settings.merge.items()}
        self._lock = threading.Lock()
        self._notices = Notices()
        self._expected = Expected(settings.views)
        self._store = Store(settings.limits)
        self._translation = Translation(settings.translation)
        self._version = 0  # of the store: one more with each change that the state file must show
        self._saving = threading.Lock()  # taken before _lock, never after it
        self._saved = 0  # the version on disk
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
        most = self._settings.limits.request_points
        if batch.items > most:
            return Refusal(
                "too_large", f"{batch.items} data points in one request, {most} at most; send fewer at a time"
            )
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
            self._version += 1
        rejected = sum(problem.points for problem in decoded.problems)
        if not rejected:
            return Accepted()
        first = decoded.problems[0]
        return Accepted(rejected, f"{first.metric or 'a metric'}: {first.detail}"[:500])

    def expose(self, accept: str = "", own: Sequence[Family] = (), names: Collection[str] = ()) -> Exposition:
        """Answers a scrape in the format that the Accept header asks for; what it shows is on disk before.

        Args:
            accept: the Accept header.
            own: the sidecar's other families; the bridge's own are there already.
            names: only these metrics, by family or sample name; none for all.
        """
        choice = negotiate(accept)
        with self._lock:
            merged, problems = self._merged()
            resource = self._resource()
            version, saved = self._version, self._snapshot()
        if saved is not None:
            self._save(saved, version)
        with self._lock:
            current = self._stats()
        metrics, more = exposition(
            merged,
            self._settings.views,
            resource,
            (*own, *stats.families(current)),
            lambda family: rule_for(family.name, family.kind, self._rules),
            naming=Naming(self._translation, choice.escaping),
        )
        body, most = rendered(only(metrics, names) if names else metrics, choice.format.render)
        with self._lock:
            found = (*problems, *more, *most, *stats.overflows(self._store))
            settled = {metric.name for metric in metrics} | {problem.metric for problem in found}
            self._notices.showing((*found, *self._expected.overdue(settled, merged, self._now_ns())))
            for one in self._suspicions():
                self._notices.once(one.reason, one.metric, one.detail)
        return Exposition(choice.content_type, body)

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
            self._version += self._store.sweep(self._now_ns())
            return self._stats()

    def close(self) -> None:
        """Saves the state a last time and leaves its directory to the next."""
        with self._lock:
            version, saved = self._version, self._snapshot()
        if saved is not None:
            self._save(saved, version)
        if self._state is not None:
            self._state.close()

    def _merged(self) -> tuple[tuple[Family, ...], tuple[Problem, ...]]:
        now = self._now_ns()
        self._version += self._store.sweep(now)
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
        """What may make totals wrong without any metric being at fault; `metric` is the service."""
        found = []
        services = sorted({dict(worker.identity).get("service.name", "") for worker in self._store.workers.values()})
        if len(services) > 1:
            detail = "several services report to this sidecar; their metrics of one name and labels are added up"
            found.append(Problem("several_services", ", ".join(services), detail, 0))
        for worker in self._store.workers.values():
            # Named once per service: a server that replaces its workers would else fill the log.
            attributes = dict(worker.identity)
            service, name = attributes.get("service.name", ""), attributes.get("service.instance.id", "")
            if worker.shared:
                detail = (
                    f"several processes report under one identity (service.instance.id {name!r}); counters are kept "
                    "apart by their start times, gauges cannot be: give each process its own"
                )
                found.append(Problem("shared_identity", service, detail, 0))
            if worker.adopted:
                detail = (
                    f"service.instance.id {name!r} came back long after it was taken for ended, when memory had not "
                    f"been enough to keep its last values: {worker.adopted} series lack what they counted meanwhile"
                )
                found.append(Problem("counts_missed", service, detail, 0))
            if worker.ghost:
                detail = (
                    f"service.instance.id {name!r} counts since the same instant as another process: its SDK kept the "
                    "totals of before a fork (opentelemetry-python #4767), so they are in the sum more than once"
                )
                found.append(Problem("fork_ghost", service, detail, 0))
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

    def _snapshot(self) -> Snapshot | None:
        """What is to be written, when that differs from what is on disk."""
        return snapshot.take(self._store) if self._state and self._saved < self._version else None

    def _save(self, taken: Snapshot, version: int) -> None:
        """Writes a snapshot; returns when it, or a newer one, is on disk.

        Scrapes at the same time write one after the other, and an older snapshot never replaces a newer one: what any
        of them has shown is then in the file.
        """
        if self._state is None:
            return
        with self._saving:
            if version <= self._saved:
                return
            try:
                size = self._state.save(taken)
            except (OSError, ValueError) as error:
                # The scrape is answered all the same: a total that may fall after a restart is better than none now.
                with self._lock:
                    self._state_failures += 1
                    self._notices.once("state_not_saved", str(self._state.path), str(error))
            else:
                with self._lock:
                    self._saved, self._state_bytes = version, size
