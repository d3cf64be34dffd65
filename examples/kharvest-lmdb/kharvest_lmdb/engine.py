"""An engine on LMDB: what `kharvest.records` needs to keep references, files and claims in a directory."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import lmdb

from kharvest.records import Row
from kharvest.spi import StoreCorrupt, StoreFull, StoreUnavailable
from kharvest_lmdb.plugin import CAPABILITIES

MAP_BYTES = 2**40
"""LMDB's map cannot grow while others have it open. Addresses cost nothing, and the file grows as it fills."""
READERS = 1024
TABLES = (b"rows", b"contents", b"chunks")


@dataclass(frozen=True, slots=True)
class Table:
    """A table within a transaction: rows in the order of their keys."""

    transaction: lmdb.Transaction
    table: lmdb._Database

    def get(self, keys: Collection[bytes]) -> dict[bytes, bytes]:
        """The values of those keys that are there."""
        found = ((key, self.transaction.get(key, db=self.table)) for key in keys)
        return {key: bytes(value) for key, value in found if value is not None}

    def scan(self, start: bytes, end: bytes, *, reverse: bool = False, limit: int) -> Sequence[Row]:
        """The first rows from `start` to before `end`, or the last ones, the greatest key first."""
        with self.transaction.cursor(self.table) as cursor:
            if reverse:
                found, step = cursor.prev() if cursor.set_range(end) else cursor.last(), cursor.prev
            else:
                found, step = cursor.set_range(start), cursor.next
            rows: list[Row] = []
            while found and len(rows) < limit and start <= (key := bytes(cursor.key())) < end:
                rows.append((key, bytes(cursor.value())))
                found = step()
            return rows

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        self.transaction.put(key, value, db=self.table)

    def delete(self, key: bytes) -> None:
        """Remove a key, if it is there."""
        self.transaction.delete(key, db=self.table)


@dataclass(slots=True)
class _Shared:
    """An environment of this process, and how many use it: LMDB allows one for each file and process.

    Its users are the engines that have it open, and transactions. LMDB crashes the process when an environment is
    closed in the middle of a transaction: so the last user closes it, whichever that is.
    """

    env: lmdb.Environment
    tables: Mapping[bytes, lmdb._Database]
    users: int = 0


_open: dict[str, _Shared] = {}
_opening = threading.Lock()


class LmdbEngine:
    """An engine in a directory. Several processes may have it open."""

    capabilities = CAPABILITIES

    def __init__(self, directory: str) -> None:
        self._path = str(Path(directory).resolve())
        self._closed = False
        with _opening, _errors_of_the_contract():
            if self._path not in _open:
                Path(self._path).mkdir(parents=True, exist_ok=True)
                env = lmdb.open(self._path, map_size=MAP_BYTES, max_dbs=len(TABLES), max_readers=READERS)
                env.reader_check()  # forget the readers of processes that were killed
                _open[self._path] = _Shared(env, {name: env.open_db(name) for name in TABLES})
            self._shared = _open[self._path]
            self._shared.users += 1

    @contextmanager
    def _transaction(self, table: bytes, *, write: bool) -> Iterator[Table]:
        with _opening:
            if self._closed:
                raise StoreUnavailable("it was closed", "open it again")
            self._shared.users += 1
        try:
            with _errors_of_the_contract(), self._shared.env.begin(write=write) as transaction:
                yield Table(transaction, self._shared.tables[table])
        finally:
            with _opening:
                self._let_go()

    def reading(self, table: bytes) -> AbstractContextManager[Table]:
        """A table as of one moment; it waits for nobody."""
        return self._transaction(table, write=False)

    def writing(self, table: bytes) -> AbstractContextManager[Table]:
        """A table in the one transaction that writes, over all processes: durable when it ends, undone if it fails."""
        return self._transaction(table, write=True)

    def view(self) -> AbstractContextManager[Table]:
        """See `Engine.view`."""
        return self.reading(b"rows")

    def commit(
        self, expected: Mapping[bytes, bytes | None], puts: Mapping[bytes, bytes], deletes: Collection[bytes]
    ) -> bool:
        """See `Engine.commit`."""
        with self.writing(b"rows") as rows:
            found = rows.get(expected)
            if any(found.get(key) != value for key, value in expected.items()):
                return False
            for key in deletes:
                rows.delete(key)
            for key, value in puts.items():
                rows.put(key, value)
        return True

    def now_ns(self) -> int:
        """See `Engine.now_ns`. LMDB is for the processes of one machine."""
        return time.time_ns()

    def close(self) -> None:
        """Let go; the last to do so closes the files."""
        with _opening:
            if self._closed:
                return
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        self._shared.users -= 1
        if not self._shared.users:
            del _open[self._path]
            self._shared.env.close()


@contextmanager
def _errors_of_the_contract() -> Iterator[None]:
    try:
        yield
    except (lmdb.MapFullError, lmdb.DbsFullError) as error:
        raise StoreFull(str(error)) from error
    except (lmdb.CorruptedError, lmdb.InvalidError, lmdb.VersionMismatchError) as error:
        raise StoreCorrupt(str(error)) from error
    except (lmdb.Error, OSError) as error:
        raise StoreUnavailable(str(error)) from error
