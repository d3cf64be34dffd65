"""Threads that read files, so that a slow file system keeps nothing else waiting."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from kharvest.client._errors import Changed, Unreadable
from kharvest.client._events import EventQueue
from kharvest.client._threads import Workers
from kharvest.client._watch.changes import WatchEvent
from kharvest.client._watch.content import Reading, ReadLimits, read_version
from kharvest.client._watch.files import WatchedFile
from kharvest.client._watch.location import Location

logger = logging.getLogger(__name__)

_THREADS = 2
"""One may be busy with a core file for seconds while the other reads what is small."""


@dataclass(frozen=True, slots=True)
class ReadEnded(WatchEvent):
    """A file was read.

    Attributes:
        file: the file.
        outcome: what was read, or why it could not be.
        cost_seconds: the processor time that it took.
        is_restless: whether it was read though it did not rest.
        is_rehash: whether it was at rest, and was read again to be sure.
    """

    file: WatchedFile
    outcome: Reading | Unreadable | Changed
    cost_seconds: float
    is_restless: bool
    is_rehash: bool


class Readers:
    """A few threads that find out which version a file is, and post `ReadEnded`."""

    def __init__(self, events: EventQueue) -> None:
        self._events = events
        self._workers = Workers("kharvest-reader", _THREADS)

    def read(
        self, file: WatchedFile, limits: ReadLimits, *, is_growing: bool, is_restless: bool, is_rehash: bool = False
    ) -> None:
        """Read the file; see `read_version` and `ReadEnded`."""
        location = file.location  # now: other threads read nothing of a watched file

        def job() -> None:
            started = time.thread_time()
            outcome = self._read(location, limits, is_growing=is_growing)
            self._events.post(ReadEnded(file, outcome, time.thread_time() - started, is_restless, is_rehash))

        self._workers.do(job)

    def close(self) -> None:
        """Stop: the reading of a file is given up, files that wait are not read."""
        self._workers.close()

    def _read(self, location: Location, limits: ReadLimits, *, is_growing: bool) -> Reading | Unreadable | Changed:
        try:
            return read_version(location, self._workers.stopped.is_set, limits, is_growing=is_growing)
        except (Unreadable, Changed) as problem:
            return problem
        except Exception as error:  # the outermost frame of this thread: it is reported with the path
            logger.debug("reading %r failed", location.path, exc_info=True)
            return Unreadable(location.path, "IO_ERROR", repr(error), "report this as a bug of kharvest")
