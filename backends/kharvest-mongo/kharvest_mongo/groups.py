"""Group commit: records that arrive while others are written share the next batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from kharvest.spi import StoreUnavailable
from kharvest_mongo.planning import Record


class _Job:
    """One record that waits for a batch, then what became of it."""

    __slots__ = ("done", "error", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.done = False
        self.error: Exception | None = None


class Groups:
    """Writes records in groups, one group at a time.

    Whoever gets the lock first takes everybody's record along; the others find theirs done when the lock is theirs. No
    thread of its own, no timer: a lonely record waits for nothing.

    `write` writes some records as one batch, and returns the errors of those that it refused, by their numbers.
    """

    def __init__(self, write: Callable[[Sequence[Record]], dict[int, Exception]], most: int) -> None:
        self._write = write
        self._most = most
        self._writing = threading.Lock()
        self._arriving = threading.Lock()
        self._waiting: list[_Job] = []  # guarded by _arriving

    def run(self, record: Record) -> None:
        """Have a record written, with others or alone; raise what became of it."""
        job = _Job(record)
        with self._arriving:
            self._waiting.append(job)
        with self._writing:
            while not job.done:
                self._write_some(self._next())
        if job.error is not None:
            raise job.error

    def _next(self) -> list[_Job]:
        """The next group: the first that wait, with no more references than a batch should have."""
        taken: list[_Job] = []
        with self._arriving:
            size = 0
            while self._waiting and (not taken or size + len(self._waiting[0].record.references) <= self._most):
                taken.append(self._waiting.pop(0))
                size += len(taken[-1].record.references)
        return taken

    def _write_some(self, jobs: list[_Job]) -> None:
        try:
            refused = self._write([job.record for job in jobs])
            for number, error in refused.items():
                jobs[number].error = error
        except Exception as error:  # noqa: BLE001  handed to those whose records these were
            for job in jobs:
                job.error = error
        except BaseException:
            for job in jobs:
                job.error = StoreUnavailable("the thread that was about to write this was interrupted")
            raise
        finally:
            for job in jobs:
                job.done = True
