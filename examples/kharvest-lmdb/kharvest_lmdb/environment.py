"""An LMDB environment: its tables, its transactions, and its errors in the words of the contract."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lmdb

from kharvest.spi import IncompatibleSchema, StoreCorrupt, StoreFull, StoreUnavailable

SCHEMA = 1
MAP_BYTES = 2**40
"""LMDB's map cannot grow while others have it open. Addresses cost nothing, and the file grows as it fills."""
READERS = 1024

TABLES = ("meta", "contents", "chunks", "references", "identities", "timelines", "files", "leases")


class Transaction:
    """Tables as of one moment, by name; keys and values are bytes."""

    def __init__(self, transaction: lmdb.Transaction, tables: Mapping[str, lmdb._Database]) -> None:
        self._transaction = transaction
        self._tables = tables

    def get(self, table: str, key: bytes) -> bytes | None:
        """The value of a key; None if it has none."""
        value = self._transaction.get(key, db=self._tables[table])
        return None if value is None else bytes(value)

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        self._transaction.put(key, value, db=self._tables[table])

    def add(self, table: str, key: bytes, value: bytes) -> bool:
        """Set the value of a key that has none; whether it had none."""
        return self._transaction.put(key, value, db=self._tables[table], overwrite=False)

    def delete(self, table: str, key: bytes) -> None:
        """Remove a key, if it is there."""
        self._transaction.delete(key, db=self._tables[table])

    def ascending(self, table: str, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The rows whose keys are `start` or greater."""
        with self._transaction.cursor(self._tables[table]) as cursor:
            found = cursor.set_range(start)
            while found:
                yield bytes(cursor.key()), bytes(cursor.value())
                found = cursor.next()

    def descending(self, table: str, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The rows whose keys are less than `end`, the last one first."""
        with self._transaction.cursor(self._tables[table]) as cursor:
            found = cursor.prev() if cursor.set_range(end) else cursor.last()
            while found:
                yield bytes(cursor.key()), bytes(cursor.value())
                found = cursor.prev()


@dataclass(slots=True)
class _Shared:
    """An environment and how many stores of this process have it open: LMDB allows one for each file and process."""

    env: lmdb.Environment
    tables: Mapping[str, lmdb._Database]
    users: int = 0


_open: dict[str, _Shared] = {}
_opening = threading.Lock()


class Environment:
    """One opened store's hold on an environment."""

    def __init__(self, directory: str) -> None:
        self._path = str(Path(directory).resolve())
        self._closed = False
        with _opening, _told():
            if self._path not in _open:
                Path(self._path).mkdir(parents=True, exist_ok=True)
                env = lmdb.open(self._path, map_size=MAP_BYTES, max_dbs=len(TABLES), max_readers=READERS)
                env.reader_check()  # forget the readers of processes that were killed
                _open[self._path] = _Shared(env, {name: env.open_db(name.encode()) for name in TABLES})
            self._shared = _open[self._path]
            self._shared.users += 1
        try:
            self._check_schema()
        except BaseException:
            self.close()
            raise

    def _check_schema(self) -> None:
        with self.writing() as transaction:
            transaction.add("meta", b"schema", b"%d" % SCHEMA)
            found = int(transaction.get("meta", b"schema") or 0)
        if found != SCHEMA:
            raise IncompatibleSchema(found, SCHEMA)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A snapshot; it waits for nobody."""
        with _told(), self._shared.env.begin() as transaction:
            yield Transaction(transaction, self._shared.tables)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """The one transaction that writes, over all processes; durable when it ends, undone if it fails."""
        with _told(), self._shared.env.begin(write=True) as transaction:
            yield Transaction(transaction, self._shared.tables)

    def close(self) -> None:
        """Let go; the last to do so closes the files."""
        with _opening:
            if self._closed:
                return
            self._closed = True
            self._shared.users -= 1
            if not self._shared.users:
                del _open[self._path]
                self._shared.env.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (lmdb.MapFullError, lmdb.DbsFullError) as error:
        raise StoreFull(str(error)) from error
    except (lmdb.CorruptedError, lmdb.InvalidError, lmdb.VersionMismatchError) as error:
        raise StoreCorrupt(str(error)) from error
    except (lmdb.Error, OSError) as error:
        raise StoreUnavailable(str(error)) from error
