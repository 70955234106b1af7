"""The stage that sends on: every target has a lane of its own, so that a slow one does not hold up another."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from sidecar.batch import Accepted, Batch, Refusal
from sidecar.ledger import Dropped, Ledger, Refused
from sidecar.relay.headers import Headers
from sidecar.relay.lane import Lane, LaneSettings, Sender
from sidecar.relay.queue import Queue
from sidecar.values import Header, Target

_RETRY_FULL_S = 1.0


class Relay:
    """Offers every batch to all lanes."""

    def __init__(self, lanes: Sequence[Lane], ledger: Ledger) -> None:
        self._lanes = lanes
        self._ledger = ledger

    def start(self) -> None:
        """Begins to send."""
        for lane in self._lanes:
            lane.start()

    def offer(self, batch: Batch) -> Accepted | Refusal:
        """Queues the batch for every target with room; refuses it when none has any."""
        open_lanes = [lane for lane in self._lanes if lane.queue.has_room(batch)]
        if not open_lanes:
            return self._refusal(batch)
        for lane in self._lanes:
            if lane in open_lanes:
                lane.put(batch)
            else:
                self._ledger.dropped(batch.signal, lane.target, Dropped.QUEUE_FULL, batch.items)
        return Accepted()

    async def drain(self, timeout_s: float) -> None:
        """Sends what waits within the time and ends; what is left is booked as dropped."""
        await asyncio.gather(*(lane.drain(timeout_s) for lane in self._lanes))

    def queues(self) -> Mapping[str, Queue]:
        """The queue of each target."""
        return {lane.target: lane.queue for lane in self._lanes}

    def _refusal(self, batch: Batch) -> Refusal:
        limit = max(lane.queue.limit for lane in self._lanes)
        if not any(lane.queue.fits(batch) for lane in self._lanes):
            message = f"the request of {len(batch.body)} bytes is larger than the whole queue of {limit} bytes"
            return Refusal(Refused.TOO_LARGE, message)
        return Refusal(
            Refused.QUEUE_FULL, f"the queue of {limit} bytes to {self._lanes[0].target} is full", _RETRY_FULL_S
        )


def build_relay(targets: Sequence[Target], headers: Sequence[Header], settings: LaneSettings, ledger: Ledger) -> Relay:
    """The relay to these targets, not yet started. Called inside the running loop.

    Raises:
        OptionError: a header's file can't be read.
    """
    shared = Headers(headers)
    return Relay([Lane(target.url, _sender(target, shared), settings, ledger) for target in targets], ledger)


def _sender(target: Target, headers: Headers) -> Sender:
    # grpcio and TLS are megabytes of memory that only those pay who use them.
    if target.grpc:
        from sidecar.relay.grpc_sender import GrpcSender

        return GrpcSender(target, headers)
    from sidecar.relay.http_sender import HttpSender

    return HttpSender(target, headers)
