"""What holds for the tests of all packages."""

from __future__ import annotations

import signal

for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    # A shell's background jobs ignore some of these, `nohup` another; programs inherit that, and those that tests start
    # and signal would, too.
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)
