"""Threads that read files, so that a slow file system keeps nothing else waiting."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from kharvest.client.errors import Changed, Unreadable
from kharvest.client.files import Reading, read_version

logger = logging.getLogger(__name__)

_THREADS = 2
"""One may be at a core file for seconds while the other reads what is small."""

Done = Callable[[Reading | Unreadable | Changed], None]


class Workers:
    """A few threads that do what they are given, in that order; started when first needed, stopped by `close`."""

    def __init__(self, name: str, threads: int) -> None:
        self.stopped = threading.Event()
        self._name = name
        self._most = threads
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def do(self, job: Callable[[], None]) -> None:
        """Call `job` on one of the threads; it must not raise."""
        self._jobs.put(job)
        if len(self._threads) < self._most:
            thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Stop: what waits is not done.

        Waits for the threads, but not for ever for one that a file server holds; they are daemons.
        """
        self.stopped.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout=1)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None and not self.stopped.is_set():
            job()


class Readers:
    """A few threads that tell which version a file is."""

    def __init__(self) -> None:
        self._workers = Workers("kharvest-reader", _THREADS)

    def read(self, path: str, done: Done) -> None:
        """Read the file, and call `done` with the outcome on a reading thread."""
        self._workers.do(lambda: done(self._outcome(path)))

    def close(self) -> None:
        """Stop: a file that is being read is left, those that wait are not read."""
        self._workers.close()

    def _outcome(self, path: str) -> Reading | Unreadable | Changed:
        try:
            return read_version(path, self._workers.stopped.is_set)
        except (Unreadable, Changed) as problem:
            return problem
        except Exception as error:  # the outermost frame of this thread: the path's owner reports it
            logger.debug("reading %r failed", path, exc_info=True)
            return Unreadable(path, "IO_ERROR", repr(error), "report this as a bug of kharvest")
