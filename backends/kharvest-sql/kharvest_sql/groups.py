"""Group commit: what arrives while a transaction runs shares the next one, and its fsync."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from kharvest.spi import StoreUnavailable

Item = TypeVar("Item")
T = TypeVar("T")


class _Waiting(Generic[Item]):
    """One item that waits for its transaction, then how that ended.

    `turn` is released once: then that is over, or it `leads` the next one.
    """

    __slots__ = ("error", "item", "leads", "turn")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.error: Exception | None = None
        self.leads = False
        self.turn = threading.Lock()
        self.turn.acquire()


class Gatherer(Generic[Item]):
    """Commits items together, one transaction at a time.

    Whoever comes while no transaction runs leads one; who comes meanwhile waits, and the first of them leads the next,
    for all of them. It starts before those whose transaction has ended are woken: or the first of these would come back
    alone, and lead one for itself. No thread of its own, no timer: a lonely item waits for nothing.

    `commit` commits some items in one transaction, or raises and leaves nothing of them. Then each is tried alone, so
    that it has its own error, unless the error is one of `shared`, which would befall every one of them.
    """

    def __init__(self, commit: Callable[[list[Item]], None], shared: tuple[type[Exception], ...] = ()) -> None:
        self._commit = commit
        self._shared = shared
        self._lock = threading.Lock()  # guards what follows
        self._is_led = False
        self._waiting: list[_Waiting[Item]] = []

    def run(self, item: Item) -> None:
        """Commit the item, with others or alone; raise what that raised."""
        mine = _Waiting(item)
        with self._lock:
            self._waiting.append(mine)
            leads, self._is_led = not self._is_led, True
        if leads or self._wait(mine):
            self._lead()
        if mine.error is not None:
            raise mine.error

    def _wait(self, mine: _Waiting[Item]) -> bool:
        """Wait for the end of its transaction; or, when True, until it is to lead one."""
        try:
            mine.turn.acquire()
        except BaseException:  # an interrupt: nobody will come for it
            with self._lock:
                if mine in self._waiting:
                    self._waiting.remove(mine)
                if mine.leads:
                    self._hand_over()
            raise
        return mine.leads

    def _lead(self) -> None:
        with self._lock:
            group, self._waiting = self._waiting, []
        try:
            self._settle(group)
        finally:
            with self._lock:
                self._hand_over()
            for one in group:
                if not one.leads:
                    one.turn.release()

    def _hand_over(self) -> None:
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].turn.release()
        else:
            self._is_led = False

    def _settle(self, group: list[_Waiting[Item]]) -> None:
        try:
            self._commit([one.item for one in group])
        except Exception as error:  # noqa: BLE001  handed to whom it belongs to
            if len(group) == 1 or isinstance(error, self._shared):
                for one in group:
                    one.error = error
            else:
                for one in group:
                    self._settle([one])
        except BaseException:
            for one in group:
                one.error = StoreUnavailable("the thread that was about to commit this was interrupted")
            raise


class Job(Generic[T]):
    """One operation that waits for a transaction, then what it returned."""

    def __init__(self, operation: Callable[[], T], *, durable: bool) -> None:
        self._operation = operation
        self.durable = durable
        self._value: T | None = None

    def run(self) -> None:
        """Do the operation, within a transaction; it counts only once that is committed."""
        self._value = self._operation()

    @property
    def value(self) -> T:
        """What the operation returned."""
        return self._value  # type: ignore[return-value]  # None only if the operation's T has it


class Groups:
    """Runs operations in transactions, one at a time, several in each.

    `transaction` runs some jobs in one transaction and raises if it could not be committed; nothing is left then.
    """

    def __init__(self, transaction: Callable[[list[Job[object]]], None]) -> None:
        self._jobs: Gatherer[Job[object]] = Gatherer(transaction)

    def run(self, operation: Callable[[], T], *, durable: bool) -> T:
        """Run the operation in a transaction, with others or alone; return or raise what it does."""
        job = Job(operation, durable=durable)
        self._jobs.run(job)  # type: ignore[arg-type]  # Groups never looks at a job's value
        return job.value
