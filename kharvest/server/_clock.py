"""The clocks of the server: its own for what it announces, the store's for leases."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from kharvest.spi import KharvestError, Reference

logger = logging.getLogger(__name__)

SECOND_NS = 10**9
WARN_BEHIND_NS = SECOND_NS
WARN_EVERY_SECONDS = 60.0


def wall_ns() -> int:
    """What this machine takes for the time: nanoseconds since the epoch, UTC."""
    return time.time_ns()


def steady_ns() -> int:
    """Nanoseconds on a clock that nobody sets; where the system has one, it goes on while the machine sleeps."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Clock:
    """Wall-clock time that never stands still: no two calls give the same time, and none an earlier one.

    So the announcements to one server have one order, whatever happens to the machine's clock. Used on one event loop.
    """

    def __init__(self) -> None:
        self._wall_ns = wall_ns
        self._last_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, UTC."""
        self._last_ns = max(self._wall_ns(), self._last_ns + 1)
        return self._last_ns


class ClockWarning:
    """Warns, once a minute at most, that the clock is behind what the store holds. Used by one thread.

    The store gives such references the time of the newest of their timeline plus one. History keeps its order, but its
    times are not those at which something happened.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._largest_ns = 0
        self._silent_until = float("-inf")

    def compare(self, given: Sequence[Reference], recorded: Sequence[Reference]) -> None:
        """Look at references with the clock's times, and at what the store made of them."""
        behind = (later.observed_at_ns - one.observed_at_ns for one, later in zip(given, recorded, strict=True))
        self._largest_ns = max(self._largest_ns, max(behind, default=0))
        now = self._monotonic()
        if self._largest_ns > WARN_BEHIND_NS and now >= self._silent_until:
            logger.warning(
                "this server's clock is %.1f s behind the newest reference of a pod's file: "
                "references get the time of the one before plus 1 ns; "
                "synchronize the clocks of all servers of this store, with NTP for example",
                self._largest_ns / SECOND_NS,
            )
            self._silent_until = now + WARN_EVERY_SECONDS
            self._largest_ns = 0


class StoreClock:
    """The clock of the store, which leases go by: the same for all servers of the store. Thread-safe.

    It is this machine's steady clock plus an offset, so nobody who sets the machine's clock moves it. The offset is
    measured by asking the store, when it is used and the last time was `refresh_seconds` ago: so a call may take as
    long as one on the store. While the store is away, the last offset stays.

    Somewhere between question and answer the store looked at its clock, which bounds the offset. The last one stays
    as long as it is within these bounds, so that a slow answer changes nothing; else the middle is taken.
    """

    def __init__(
        self,
        ask: Callable[[], int],
        refresh_seconds: float,
        steady: Callable[[], int] = steady_ns,
    ) -> None:
        self._ask = ask
        self._refresh_ns = int(refresh_seconds * SECOND_NS)
        self._steady_ns = steady
        self._asking = threading.Lock()  # guards what follows; the offset is read without it
        self._offset_ns: int | None = None
        self._asked_at_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since the epoch, by the store's clock.

        Raises:
            KharvestError: the store could not be asked, and never was before.
        """
        offset_ns = self._offset_ns
        if offset_ns is None:
            with self._asking:
                offset_ns = self._measured() if self._offset_ns is None else self._offset_ns
        elif self._is_due() and self._asking.acquire(blocking=False):  # whoever else comes need not wait for the answer
            try:
                offset_ns = self._measured()
            except KharvestError:  # the guard has counted it; asked again when it is due again
                pass
            finally:
                self._asking.release()
        return self._steady_ns() + offset_ns

    def _is_due(self) -> bool:
        return self._steady_ns() - self._asked_at_ns >= self._refresh_ns

    def _measured(self) -> int:
        asked_at_ns = self._asked_at_ns = self._steady_ns()
        store_ns = self._ask()
        least, most = store_ns - self._steady_ns(), store_ns - asked_at_ns
        if self._offset_ns is None or not least <= self._offset_ns <= most:
            self._offset_ns = (least + most) // 2
        return self._offset_ns
