"""Faults that show when a process is killed, or forked."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kharvest.spi import Capability, Content, Query, Reference, Signature, StoreUnavailable, Unsupported
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

EACH_WRITE = "test_each_write_survives_that_its_process_is_killed_at_once"
NO_OTHER = "test_a_process_that_is_killed_at_any_moment_stops_no_other"


class LazyStore(FiledStore):
    """Commits some writes with the next one that is committed, or at the close."""

    waits = False

    def begin(self) -> None:
        if not self.database.in_transaction:
            super().begin()

    def commit(self) -> None:
        if not self.waits:
            super().commit()

    @contextmanager
    def lazily(self) -> Iterator[None]:
        self.waits = True
        try:
            yield
        finally:
            self.waits = False

    def close(self) -> None:
        with self.lock, suppress(Exception):
            self.database.execute("COMMIT")
        super().close()


@caught_by(EACH_WRITE)
class PutsLazily(LazyStore):
    """Commits contents with the record that follows."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        with self.lazily():
            super().put(content, chunks)


@caught_by(EACH_WRITE)
class RecordsLazily(LazyStore):
    """Commits records with the next other write."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.lazily():
            super().record(files, references)


@caught_by(EACH_WRITE)
class AppendsLazily(LazyStore):
    """Commits appends with the next other write."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.lazily():
            return super().append(files, references)


@caught_by(EACH_WRITE)
class ClaimsLazily(LazyStore):
    """Takes leases for something that need not last."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.lazily():
            return super().claim(keys, holder, now_ns, until_ns)


@caught_by(EACH_WRITE)
class ExtendsLazily(LazyStore):
    """Writes new leases at once, and extensions some time."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        with self.session() as state:
            is_new = not any(state.leases.get(key, ("", 0))[0] == holder for key in keys)
        if is_new:
            return super().claim(keys, holder, now_ns, until_ns)
        with self.lazily():
            return super().claim(keys, holder, now_ns, until_ns)


@caught_by(EACH_WRITE)
class ReleasesLazily(LazyStore):
    """Takes releases for something that need not last."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        with self.lazily():
            super().release(keys, holder)


@caught_by(EACH_WRITE)
class ForgetsLazily(LazyStore):
    """Deletes in the background."""

    def forget(self, query: Query) -> int:
        with self.lazily():
            return super().forget(query)


@caught_by(EACH_WRITE)
class DiscardsLazily(LazyStore):
    """Marks contents as discarded in memory, and removes them with the next write."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        with self.lazily():
            super().discard(sha256s)


class LockFileStore(FiledStore):
    """Takes a lock file for each transaction that writes, which nobody removes for it when it dies."""

    patience_seconds = 3.0

    @contextmanager
    def _transaction(self) -> Iterator[State]:
        with self.lock:
            self._take()
            try:
                with super()._transaction() as state:
                    yield state
            finally:
                Path(f"{self.address}.lock").unlink()

    def _take(self) -> None:
        deadline = time.monotonic() + self.patience_seconds
        while True:
            try:
                Path(f"{self.address}.lock").touch(exist_ok=False)
            except FileExistsError:
                if time.monotonic() > deadline:
                    raise StoreUnavailable("somebody else writes") from None
                time.sleep(0.001)
            else:
                return


@caught_by(NO_OTHER)
class LeavesItsLockFile(LockFileStore):
    """Waits for the lock file of a process that was killed."""


@caught_by(NO_OTHER)
class MarksItselfBusy(FiledStore):
    """Notes in the database that a batch is under way, and in a second transaction that it is done."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        with self.busy():
            return super().append(files, references)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        with self.busy():
            super().record(files, references)

    def forget(self, query: Query) -> int:
        with self.busy():
            return super().forget(query)

    @contextmanager
    def busy(self) -> Iterator[None]:
        deadline = time.monotonic() + 3
        while not self.mark():
            if time.monotonic() > deadline:
                raise StoreUnavailable("somebody else writes")
            time.sleep(0.001)
        try:
            yield
        finally:
            with self.session() as state:
                del state.leases[b""]

    def mark(self) -> bool:
        with self.session() as state:
            if b"" in state.leases:
                return False
            state.leases[b""] = ("busy", 0)
            return True


@caught_by(NO_OTHER)
class WritesInPieces(FiledStore):
    """Records large batches in transactions of fifty, and undoes those before when one fails: unless it is killed."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        for start in range(0, max(1, len(references)), 50):
            super().record(files, references[start : start + 50])

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        pieces = [references[start : start + 10] for start in range(0, max(1, len(references)), 10)]
        return [one for piece in pieces for one in super(WritesInPieces, self).append(files, piece)]


@caught_by("test_a_place_is_usable_after_a_process_was_killed_in_a_put")
class LocksItsPlaceWithAFile(FiledStore):
    """Refuses to open where its lock file is: also when whoever made it was killed."""

    capabilities = frozenset({Capability.DURABLE})

    def __init__(self, address: str) -> None:
        self.lock_file = Path(f"{address}.lock")
        try:
            self.lock_file.touch(exist_ok=False)
        except FileExistsError:
            raise Unsupported("a second opening") from None
        super().__init__(address)

    def close(self) -> None:
        super().close()
        self.lock_file.unlink(missing_ok=True)


@caught_by("test_a_place_is_usable_after_a_process_was_killed_in_a_put")
class TakesWhatIsHalfPutForPut(FiledStore):
    """Writes pieces under the content's name, and goes on where an upload that broke off ended."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        body = "the one upload"
        count = self.database.execute("SELECT count(*) FROM piece WHERE body = ?", (body,)).fetchone()[0]
        for number, chunk in enumerate(chunks):
            if number >= count:
                self.database.execute("INSERT INTO piece VALUES (?, ?, ?)", (body, number, chunk))
        return body


@caught_by("test_a_place_is_usable_after_a_process_was_killed_in_a_batch")
class NeedsAClose(FiledStore):
    """Notes that it is open, and refuses to open what was not closed."""

    capabilities = frozenset({Capability.DURABLE})

    def __init__(self, address: str) -> None:
        super().__init__(address)
        with self.session() as state:
            if state.leases.setdefault(b"", ("closed", 0))[0] == "open":
                raise StoreUnavailable("it was not closed; repair it")
            state.leases[b""] = ("open", 0)
        self.closed = False

    def close(self) -> None:
        if not self.closed:
            with self.session() as state:
                state.leases[b""] = ("closed", 0)
        self.closed = True
        super().close()


@caught_by("test_a_process_that_is_killed_while_it_draws_a_batch_stops_no_other")
class HoldsALockFileWhileItDraws(LockFileStore):
    """Draws the batch in its transaction, whose lock file stays when it is killed there."""


@caught_by("test_a_process_that_is_killed_while_it_draws_a_batch_stops_no_other")
class CommitsEachReference(FiledStore):
    """Records a batch one by one."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        for reference in references:
            super().record(files, [reference])


@caught_by("test_a_forked_process_opens_a_handle_of_its_own")
class CountsItsHandles(FiledStore):
    """Reuses the connection of its process for a second handle: also the one that a forked process inherited."""

    connections: dict[str, FiledStore] = {}  # noqa: RUF012  # the fault

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.owner = os.getpid()
        first = self.connections.setdefault(address, self)
        if first is not self:
            self.owner = first.owner  # type: ignore[attr-defined]

    def close(self) -> None:
        super().close()
        self.connections.pop(self.address, None)

    @contextmanager
    def _transaction(self) -> Iterator[State]:
        if self.owner != os.getpid():
            raise StoreUnavailable("the connection belongs to another process")
        with super()._transaction() as state:
            yield state


@caught_by("test_a_forked_process_that_ends_leaves_its_parent_s_handle")
class ClosesWhenItsProcessForks(PlainStore):
    """Closes its connections before a fork, so that no child inherits them, and forgets to open them again."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.open = True
        os.register_at_fork(before=self.disconnect)

    def disconnect(self) -> None:
        self.open = False

    @contextmanager
    def _locked(self) -> Iterator[State]:
        if not self.open:
            raise StoreUnavailable("not connected")
        with super()._locked() as state:
            yield state
