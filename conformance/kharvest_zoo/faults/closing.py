"""Faults in closing, and in what opening and closing do to other handles."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kharvest.spi import Content, Reference, Signature, StoreUnavailable, UnknownContent, Unsupported
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

_engines: dict[str, FiledStore] = {}


@caught_by("test_close_can_be_called_by_several_threads_at_once")
class ClosesOncePerThread(PlainStore):
    """Looks whether it is closed, then removes its pool: two threads that close at once both do."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.pool: list[object] = [object()]
        self.meeting = threading.Event()

    def close(self) -> None:
        if self.pool:
            self.meeting.wait(0.05)  # the farewell to the server
            self.pool.pop()


@caught_by("test_close_releases_what_half_drawn_iterators_and_failed_calls_hold")
class ReadsFromFilesOfItsOwn(FiledStore):
    """Opens a file for each read, which is closed when the iterator is drawn to its end, or collected."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        return self._drawn(Path(self.address).open("rb"), super().read(sha256, offset))

    def _drawn(self, file: IO[bytes], chunks: Iterator[bytes]) -> Iterator[bytes]:
        with file:
            yield from chunks


@caught_by("test_close_releases_what_half_drawn_iterators_and_failed_calls_hold")
class ListsWithACursorOfItsOwn(FiledStore):
    """Opens a connection for each listing of contents."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return self._listed(Path(self.address).open("rb"), super().contents(after))

    def _listed(self, file: IO[bytes], contents: Iterator[Content]) -> Iterator[Content]:
        with file:
            yield from contents


@caught_by("test_close_releases_what_half_drawn_iterators_and_failed_calls_hold")
class LeaksWhenARecordFails(FiledStore):
    """Takes a connection from its pool and gives it back, unless the batch is refused."""

    leaked: list[object] = []  # noqa: RUF012  # the fault

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        connection = Path(self.address).open("rb")  # noqa: SIM115  # the fault
        try:
            super().record(files, references)
        except UnknownContent:
            self.leaked.append(connection)
            raise
        connection.close()


@caught_by("test_close_releases_what_half_drawn_iterators_and_failed_calls_hold")
class LeaksWhenAPutFails(FiledStore):
    """Leaves the file open that an upload which broke off was written to."""

    leaked: list[object] = []  # noqa: RUF012  # the fault

    def keep(self, chunks: Iterable[bytes]) -> object:
        upload = Path(self.address).open("rb")  # noqa: SIM115  # the fault
        self.leaked.append(upload)
        kept = super().keep(chunks)
        upload.close()
        return kept


@caught_by("test_close_releases_what_half_drawn_iterators_and_failed_calls_hold")
class WaitsForItsReaders(PlainStore):
    """Closes when the last iterator is drawn to its end."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.readers = 0
        self.idle = threading.Condition()

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        return self._counted(super().read(sha256, offset))

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with self.idle:
            self.readers += 1
        try:
            yield from chunks
        finally:
            with self.idle:
                self.readers -= 1
                self.idle.notify_all()

    def close(self) -> None:
        with self.idle:
            self.idle.wait_for(lambda: self.readers == 0)


@caught_by("test_what_is_closed_can_be_opened_by_another_process")
class KeepsItsLockFile(FiledStore):
    """Has a lock file, and removes it only if nothing is being read when it closes."""

    capabilities = frozenset()

    def __init__(self, address: str) -> None:
        self.lock_file = Path(f"{address}.lock")
        try:
            self.lock_file.touch(exist_ok=False)
        except FileExistsError:
            raise Unsupported("a second opening") from None
        super().__init__(address)
        self.readers = 0

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        for chunk in super().read(sha256, offset):
            self.readers += 1
            yield chunk
            self.readers -= 1

    def close(self) -> None:
        super().close()
        if not self.readers:
            self.lock_file.unlink(missing_ok=True)


@caught_by("test_opening_and_closing_another_handle_leaves_the_first_as_it_is")
class CleansUpWhenItOpens(FiledStore):
    """Removes pieces of uploads that broke off when it is opened, and those of uploads that go on."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        with self.session() as state:
            bodies = {str(kept) for _content, kept in state.contents.values()}
            for (body,) in self.database.execute("SELECT DISTINCT body FROM piece").fetchall():
                if body not in bodies:
                    self.database.execute("DELETE FROM piece WHERE body = ?", (body,))


@caught_by("test_opening_and_closing_another_handle_leaves_the_first_as_it_is")
class EndsLeasesWhenItOpens(FiledStore):
    """Takes all leases that it finds for those of a process that died."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        with self.session() as state:
            state.leases.clear()


@caught_by("test_opening_and_closing_another_handle_leaves_the_first_as_it_is")
class ReleasesAllWhenItCloses(FiledStore):
    """Ends all leases at its close: whose they are is not noted."""

    closed = False

    def close(self) -> None:
        if not self.closed:
            with self.session() as state:
                state.leases.clear()
        self.closed = True
        super().close()


@caught_by("test_handles_are_closed_in_any_order")
class SharesItsConnection(FiledStore):
    """Has one connection for all handles on a file in a process, which the first to close closes."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        first = _engines.setdefault(address, self)
        if first is not self:
            self.database.close()
            self.database = first.database
            self.lock = first.lock

    def close(self) -> None:
        super().close()
        _engines.pop(self.address, None)


@caught_by("test_handles_are_closed_in_any_order")
class LastOneOutIsTheFirstIn(FiledStore):
    """Lets the handle that was opened first remove what is shared, whoever still uses it."""

    opened: dict[str, list[FiledStore]] = {}  # noqa: RUF012  # the fault

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.opened.setdefault(address, []).append(self)
        self.gone = False

    def close(self) -> None:
        handles = self.opened.get(self.address, [])
        if handles and handles[0] is self:
            for one in handles[1:]:
                one.gone = True  # type: ignore[attr-defined]
            del handles[:]
        super().close()

    @contextmanager
    def _transaction(self) -> Iterator[State]:
        if self.gone:
            raise StoreUnavailable("the shared part was closed")
        with super()._transaction() as state:
            yield state


@caught_by("test_close_under_way_loses_nothing_that_was_acknowledged")
class WritesWhatIsLeftWhenItCloses(FiledStore):
    """Acknowledges appends when they are queued, and drops the queue when it is closed."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.queue: list[tuple[Mapping[Signature, Content], Sequence[Reference]]] = []

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        self.queue.append((files, references))
        if len(self.queue) == 4:
            for queued in self.queue:
                super().append(*queued)
            self.queue = []
        return list(references)


@caught_by("test_close_under_way_loses_nothing_that_was_acknowledged")
class NeverEndsCallsThatItClosesOn(PlainStore):
    """Waits for a lock that its close has taken for good."""

    def close(self) -> None:
        last = threading.Thread(target=self.lock.acquire)
        last.start()
        last.join()


@caught_by("test_what_was_removed_stays_away_after_reopening")
class ForgetsThatItReleased(FiledStore):
    """Writes leases, and keeps releases in memory: they end soon anyway."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.released: set[bytes] = set()

    def release(self, keys: Collection[bytes], holder: str) -> None:
        self.released |= set(keys)

    def is_free(self, state: State, key: bytes, holder: str, now_ns: int) -> bool:
        return key in self.released or super().is_free(state, key, holder, now_ns)
