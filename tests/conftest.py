"""Tests see signals as a program in a terminal does, also when the run was started by nohup or in the background.

There a shell ignores SIGINT or SIGHUP, every child inherits that, and a program may rightly honour it.
"""

from __future__ import annotations

import signal

for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)
