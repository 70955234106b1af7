"""The command `demo`: a first signal ends it in order, a second one at once, and each ending has its exit status."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from typing import Final

from sidecar.demo.children import ChildError
from sidecar.demo.place import MissingError, find_example
from sidecar.demo.report import Report
from sidecar.demo.run import INTERRUPTED, Demo
from sidecar.demo.settings import read_settings

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(BaseException):
    """A second signal: everything ends at once."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demo; 0: every request was counted, 1: the check failed or a process ended, 2: it can't run here."""
    settings = read_settings(argv)
    report = Report()
    stop = threading.Event()

    def stopped(*_: object) -> None:
        if stop.is_set():
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # the way out is short and must not be cut
            raise _Stopped
        stop.set()

    before = {number: signal.signal(number, stopped) for number in _SIGNALS}
    try:
        return Demo(settings, find_example(), report, stop).run()
    except MissingError as error:
        sys.stderr.write(f"otel-sidecar demo: {error}\n")
        return 2
    except ChildError as error:
        report.say(f"otel-sidecar demo: {error}")
        return 1
    except _Stopped:
        report.say("ended at once, without the check")
        return INTERRUPTED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
