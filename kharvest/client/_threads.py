"""Threads that do what they are given, and waiting in a thread that has other duties."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

_SLICE_SECONDS = 0.2


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
        """Stop: jobs that have not begun are dropped.

        Waits for the threads, but not for ever for one that a file server blocks; they are daemons.
        """
        self.stopped.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout=1)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None and not self.stopped.is_set():
            job()


def wait_until(has_ended: Callable[[float], object], timeout: float | None) -> bool:
    """Call `has_ended`, which waits for at most the seconds that it is given, until it returns a true value.

    It waits for a fifth of a second at a time. Python runs a signal's handler in the main thread, and only between two
    instructions of it: where the kernel delivered the signal to another thread, a wait for a lock goes on until the
    lock is free or the time is up. The host program's main thread may be the one that waits here.

    Returns:
        Whether it did; False after `timeout` seconds, where that is not None.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = _SLICE_SECONDS if deadline is None else deadline - time.monotonic()
        if has_ended(min(max(left, 0.0), _SLICE_SECONDS)):
            return True
        if left <= 0:
            return False
