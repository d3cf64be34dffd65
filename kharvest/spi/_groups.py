"""Group commit: what arrives while one group is committed shares the next one, and its cost."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from kharvest.spi._errors import StoreUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
_UNBOUNDED = 2**63
_INTERRUPTED = "the thread that was about to commit this was interrupted"


class Entry(Generic[Item, Result]):
    """An item that waits for its commit, then what became of it.

    Attributes:
        items: what it counts for among the items of a group.
        size: what it counts for among the bytes of a group.
        is_abandoned: nobody waits for the result; the item is left out, if its commit has not begun.
        value: what the commit returned.
        error: why the item was not committed.
        leads: its thread commits the next group.
        turn: held until the entry is done, or leads; None where no thread waits for it.
    """

    __slots__ = ("error", "is_abandoned", "item", "items", "leads", "size", "turn", "value")

    def __init__(self, item: Item, items: int, size: int) -> None:
        self.item = item
        self.items = items
        self.size = size
        self.is_abandoned = False
        self.leads = False
        self.turn: threading.Lock | None = None
        self.value: Result | None = None
        self.error: Exception | None = None

    def result(self) -> Result:
        """What the commit returned for the item; only once it is done.

        Raises:
            Exception: why the item was not committed.
        """
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None only if Result has it


class GroupCommit(Generic[Item, Result]):
    """Commits items together: one group at a time, in the order of their arrival. Thread-safe.

    A group is everything that has arrived, within the bounds. There is no timer: a lonely item waits for nothing.
    There is no thread either. One way to use it is `run`, by threads that wait: the first of them leads, which is
    commits for all. It appoints the next leader before the others wake, else the first of these would come back
    alone and lead a group of one. The other way is `add`, `take` and `commit`, by one owner that has threads.

    Args:
        commit: commits some items, all or nothing. It returns for each item the result, or the error that its caller
            gets. It raises if nothing of the group was committed; then the halves are tried, and their halves, so that
            only the item at fault has the error.
        is_shared: whether every item of the group would have this error of `commit`: then nothing is tried again.
        shared_by_all: errors that also everyone would have who waits for the next group, after as long a wait.
        weigh: the number of items that an item counts for, and its bytes; 1 and 0 where it is left out.
        max_items: at most so many in a group, except that one item is never split.
        max_bytes: the same for bytes.
        closed: makes the error for whoever comes after `close`.
    """

    def __init__(
        self,
        commit: Callable[[list[Item]], Sequence[Result | Exception]],
        *,
        is_shared: Callable[[Exception], bool] = lambda _error: False,
        shared_by_all: tuple[type[Exception], ...] = (),
        weigh: Callable[[Item], tuple[int, int]] | None = None,
        max_items: int = _UNBOUNDED,
        max_bytes: int = _UNBOUNDED,
        closed: Callable[[], Exception] = lambda: StoreUnavailable("it was closed", "open it again"),
    ) -> None:
        self._commit = commit
        self._is_shared = is_shared
        self._shared_by_all = shared_by_all
        self._weigh = weigh
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._closed = closed
        self._lock = threading.Lock()  # guards what follows
        self._waiting: deque[Entry[Item, Result]] = deque()
        self._waiting_items = 0
        self._is_led = False
        self._is_closed = False

    @property
    def waiting_items(self) -> int:
        """The items that wait, as `weigh` counts them."""
        return self._waiting_items

    def close(self) -> None:
        """Refuse whoever comes from now on. What waits is still committed."""
        with self._lock:
            self._is_closed = True

    def run(self, item: Item) -> Result:
        """Commit the item, with others or alone, and return its result.

        Raises:
            Exception: why the item was not committed.
        """
        mine = self._entry(item)
        with self._lock:
            self._enter(mine)
            leads, self._is_led = not self._is_led, True
            if not leads:
                mine.turn = threading.Lock()
                mine.turn.acquire()
        if leads or self._is_to_lead(mine):
            self._lead()
        return mine.result()

    def add(self, item: Item) -> Entry[Item, Result]:
        """Have the item wait for its commit."""
        entry = self._entry(item)
        with self._lock:
            self._enter(entry)
        return entry

    def take(self) -> list[Entry[Item, Result]]:
        """The next group, for `commit`; empty only when nothing waits."""
        with self._lock:
            group: list[Entry[Item, Result]] = []
            items = size = 0
            while self._waiting:
                first = self._waiting[0]
                if group and (items + first.items > self._max_items or size + first.size > self._max_bytes):
                    break
                self._waiting.popleft()
                self._waiting_items -= first.items
                if not first.is_abandoned:
                    group.append(first)
                    items += first.items
                    size += first.size
            return group

    def commit(self, group: list[Entry[Item, Result]]) -> list[Entry[Item, Result]]:
        """Commit a group. Returns every entry that is done now: those of the group, and maybe of all who waited."""
        left = [group]
        done = list(group)
        while left:
            part = left.pop()
            try:
                results = self._commit([entry.item for entry in part])
                for entry, result in zip(part, results, strict=True):
                    if isinstance(result, Exception):
                        entry.error = result
                    else:
                        entry.value = result
            except self._shared_by_all as error:
                waiting = self._take_all()
                done += waiting
                _fail([*part, *(entry for one in left for entry in one), *waiting], error)
                return done
            except Exception as error:  # noqa: BLE001  handed to the callers whose items these are
                if len(part) == 1 or self._is_shared(error):
                    _fail(part, error)
                else:
                    middle = len(part) // 2
                    left += [part[middle:], part[:middle]]
            except BaseException:
                _fail([*part, *(entry for one in left for entry in one)], StoreUnavailable(_INTERRUPTED, "try again"))
                raise
        return done

    def _entry(self, item: Item) -> Entry[Item, Result]:
        return Entry(item, *(self._weigh(item) if self._weigh is not None else (1, 0)))

    def _enter(self, entry: Entry[Item, Result]) -> None:
        if self._is_closed:
            raise self._closed()
        self._waiting.append(entry)
        self._waiting_items += entry.items

    def _take_all(self) -> list[Entry[Item, Result]]:
        with self._lock:
            waiting, self._waiting, self._waiting_items = list(self._waiting), deque(), 0
            return waiting

    def _is_to_lead(self, mine: Entry[Item, Result]) -> bool:
        """Wait until the entry is done; or, when True, until it is to lead a group."""
        if mine.turn is None:
            raise AssertionError("a leader does not wait")
        try:
            mine.turn.acquire()
        except BaseException:  # an interrupt: nobody will come for it
            with self._lock:
                mine.is_abandoned = True
                if mine.leads:
                    self._appoint_leader()
            raise
        return mine.leads

    def _lead(self) -> None:
        done: list[Entry[Item, Result]] = []
        try:
            done = group = self.take()
            done = self.commit(group)
        finally:
            with self._lock:
                self._appoint_leader()
            for entry in done:
                if entry.turn is not None and not entry.leads:
                    entry.turn.release()

    def _appoint_leader(self) -> None:
        while self._waiting and self._waiting[0].is_abandoned:
            self._waiting_items -= self._waiting.popleft().items
        leader = self._waiting[0] if self._waiting else None
        if leader is None or leader.turn is None:
            self._is_led = False
        else:
            leader.leads = True
            leader.turn.release()


def _fail(entries: Sequence[Entry[Item, Result]], error: Exception) -> None:
    for entry in entries:
        entry.error = error
