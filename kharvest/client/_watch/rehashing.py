"""Rounds in which every file is read again, for changes that no time of a file shows."""

from __future__ import annotations

import math
from collections.abc import Iterable

from kharvest.client._watch.files import WatchedFile

_MAX_SHARE = 0.01
"""Of a core."""
_LEAST_SECONDS = 1.0
"""Between two wake-ups; where there are many files, each is for several."""


class RehashRounds:
    """Says when which file is to be read again, so that all are within `seconds`. The harvesting thread owns it.

    A write through a mapping changes the times of a file late on a disk, and never on tmpfs; other file systems keep
    them when they should not. A round takes longer where it would cost more than 1 % of a core.

    Attributes:
        next: the time of the next files (monotonic).
    """

    def __init__(self, *, seconds: float, now: float) -> None:
        self.next = now + min(seconds, _LEAST_SECONDS)
        self._seconds = seconds
        self._round: list[WatchedFile] = []
        self._round_files = 0
        self._reading = 0
        self._owed_seconds = 0.0

    def configure(self, *, seconds: float, now: float) -> None:
        """Use another time from now on."""
        self._seconds = seconds
        self.next = min(self.next, now + seconds)

    def take(self, files: Iterable[WatchedFile], now: float) -> list[WatchedFile]:
        """The files to read now, of all `files`. `begin` and `end` are called for each."""
        if now < self.next:
            return []
        if self._reading:
            self.next = now + _LEAST_SECONDS
            return []
        pause, self._owed_seconds = self._owed_seconds / _MAX_SHARE, 0.0
        if pause > 0:
            self.next = now + pause
            return []
        if not self._round:
            self._round = [file for file in files if file.reading is not None]
            self._round.reverse()
            self._round_files = len(self._round)
        interval = max(min(_LEAST_SECONDS, self._seconds), self._seconds / max(1, self._round_files))
        self.next = now + interval
        count = math.ceil(self._round_files * interval / self._seconds)
        return [self._round.pop() for _ in range(min(count, len(self._round)))]

    def begin(self) -> None:
        """A file is being read."""
        self._reading += 1

    def end(self, cost_seconds: float) -> None:
        """The reading of a file has ended, and took this processor time."""
        self._reading -= 1
        self._owed_seconds += cost_seconds
