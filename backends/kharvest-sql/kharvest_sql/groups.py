"""Group commit: operations that arrive while a transaction runs share the next one, and its fsync."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from kharvest.spi import StoreUnavailable

T = TypeVar("T")


class Job(Generic[T]):
    """One operation that waits for a transaction, then what became of it."""

    def __init__(self, operation: Callable[[], T], *, durable: bool) -> None:
        self._operation = operation
        self.durable = durable
        self.done = False
        self._value: T | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Do the operation, within a transaction; done only once that is committed."""
        self._value = self._operation()

    def fail(self, error: Exception) -> None:
        """Settle that the operation raised `error`."""
        self._error = error

    def result(self) -> T:
        """What the operation returned or raised."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # None only if the operation's T has it


class Groups:
    """Runs jobs in transactions, one at a time.

    Whoever gets the lock first takes everybody's job along; the others find theirs done when the lock is theirs. No
    thread of its own, no timer: a lonely job waits for nothing.

    `transaction` runs some jobs in one transaction and raises if it could not be committed; nothing is left then.
    """

    def __init__(self, transaction: Callable[[list[Job[object]]], None]) -> None:
        self._transaction = transaction
        self._running = threading.Lock()
        self._waiting: list[Job[object]] = []  # guarded by _arriving
        self._arriving = threading.Lock()

    def run(self, operation: Callable[[], T], *, durable: bool) -> T:
        """Run the operation in a transaction, with others or alone; return or raise what it does."""
        job = Job(operation, durable=durable)
        with self._arriving:
            self._waiting.append(job)  # type: ignore[arg-type]  # Groups never looks at a job's value
        with self._running:
            if not job.done:
                with self._arriving:
                    jobs, self._waiting = self._waiting, []
                self._commit(jobs)
        return job.result()

    def _commit(self, jobs: list[Job[object]]) -> None:
        try:
            self._transaction(jobs)
        except Exception as error:  # noqa: BLE001  handed to the job it belongs to
            if len(jobs) == 1:
                jobs[0].fail(error)
            else:
                # One of them failed, or there was no room for all: each gets its own transaction, and its own error.
                for job in jobs:
                    self._commit([job])
        except BaseException:
            for job in jobs:
                job.fail(StoreUnavailable("the thread that was about to commit this was interrupted"))
            raise
        finally:
            for job in jobs:
                job.done = True
