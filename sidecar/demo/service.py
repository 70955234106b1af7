"""Runs the example as `uvicorn --workers N` does, and ends when whoever started it is gone.

`python -m sidecar.demo.service APP PORT WORKERS`
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def main() -> None:
    """Serves until SIGTERM, or until standard input ends."""
    import uvicorn

    app, port, workers = sys.argv[1:]
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    uvicorn.run(app, host="127.0.0.1", port=int(port), workers=int(workers), log_level="warning", access_log=False)


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
