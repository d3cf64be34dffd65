"""The server's clock."""

from __future__ import annotations

import time


class Clock:
    """Wall-clock time that never stands still: no two calls give the same time, and none an earlier one.

    So the references of one server have one order, whatever happens to the machine's clock. Used on one event loop.
    """

    def __init__(self) -> None:
        self._last_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        return self._last_ns
