"""The way on: traces and logs to any OTLP target, as bytes, through bounded queues.

What can go wrong and which figure shows it (`otel_sidecar_…` on /metrics, /ledger, the log):

* the target is down or busy: data waits in its queue, every batch is tried again with growing, jittered pauses, and
  what is older than --max-age is dropped (`expired`);
* the queue is full: senders are told to try again later (refused: `queue_full`), unless another target still has room:
  then only the full one misses the data (dropped: `queue_full`);
* the target refuses a batch: the batch is cut in halves until only what is bad is dropped (`invalid`, `too_large`);
* the target never wants it (wrong path, wrong token): dropped at once (`failed`, `unauthorized`);
* the sidecar stops: what waits is sent within --drain-timeout, the rest is dropped (`shutdown`).
"""

from sidecar.relay.relay import Relay, build_relay

__all__ = ["Relay", "build_relay"]
