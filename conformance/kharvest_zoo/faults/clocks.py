"""Faults in the store's clock."""

from __future__ import annotations

import os
import time

from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore

GOES_ON = "test_the_clock_goes_on_as_time_does"
PLAUSIBLE = "test_now_is_a_whole_number_of_nanoseconds_since_the_epoch"


@caught_by(PLAUSIBLE)
class TellsTimeAsADouble(PlainStore):
    """Multiplies seconds, and gives what comes of it."""

    def now_ns(self) -> int:
        return time.time() * 1e9  # type: ignore[return-value]


@caught_by(PLAUSIBLE)
class TellsTheUptime(PlainStore):
    """Takes the clock that never goes back."""

    def now_ns(self) -> int:
        return time.monotonic_ns()


@caught_by(PLAUSIBLE)
class TellsMicroseconds(PlainStore):
    """Passes on what the database counts in."""

    def now_ns(self) -> int:
        return time.time_ns() // 1000


@caught_by(GOES_ON)
class AsksTheClockOnce(PlainStore):
    """Asks the server for its clock when it opens."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.opened_ns = time.time_ns()

    def now_ns(self) -> int:
        return self.opened_ns


@caught_by(GOES_ON)
class AsksTheClockNowAndThen(PlainStore):
    """Keeps what the server said for three seconds: it is asked every ten."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.told = (0, 0)

    def now_ns(self) -> int:
        if time.monotonic_ns() - self.told[0] > 3 * 10**9:
            self.told = (time.monotonic_ns(), time.time_ns())
        return self.told[1]


@caught_by(GOES_ON)
class TellsTenSeconds(PlainStore):
    """Rounds to what the server asks for: its leases are longer."""

    def now_ns(self) -> int:
        return time.time_ns() // 10**10 * 10**10


@caught_by("test_the_clock_is_the_same_after_reopening")
class CountsFromItsOpening(PlainStore):
    """Adds the time since it was opened once more."""

    openings = 0

    def __init__(self, address: str) -> None:
        super().__init__(address)
        type(self).openings += 1
        self.skew_ns = 5 * 10**9 * type(self).openings

    def now_ns(self) -> int:
        return time.time_ns() + self.skew_ns


@caught_by("test_all_who_share_a_store_have_one_clock")
class TellsTheClockOfItsProcess(FiledStore):
    """Goes by a clock of its process that was set when that started, and drifts."""

    def now_ns(self) -> int:
        return time.time_ns() + os.getpid() % 1000 * 3 * 10**9
