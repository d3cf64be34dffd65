"""An index in a SQLite file: references and claims that are kept elsewhere, for one process to ask.

A backend whose data is elsewhere uses it, and can make it anew at any time, so nothing is synced. The backend's own
tables stand beside ours in the file, so that one transaction changes both. Its SQL is that of SQLite.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from kharvest.spi import Content, StoreCorrupt, StoreFull, StoreUnavailable
from kharvest.spi.disks import OpenFiles
from kharvest.spi.room import Allotment, unlimited
from kharvest_sql import _versions as versions
from kharvest_sql._database import Session
from kharvest_sql._dialects import Sqlite
from kharvest_sql._failures import told
from kharvest_sql._references import SqlReferences
from kharvest_sql._schema import REFERENCES

__all__ = ["Present", "Session", "SqlReferences", "SqliteIndex", "Transaction"]

T = TypeVar("T")

Present: TypeAlias = Callable[[Session, Collection[bytes]], Mapping[bytes, Content]]
"""Those of the contents with these SHA-256 that are there, as of a transaction."""

_PAGE_BYTES = 8 * 1024
_CACHE_KIB = 16 * 1024
_PAIR = b"the local index"
_WHERE = "the index"


class _Connected:
    """A `Database` for `SqlReferences` on a transaction that somebody else begins and ends."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def read(self) -> Iterator[Session]:
        yield self._session

    def glance(self) -> AbstractContextManager[Session]:
        return self.read()

    def write(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:  # noqa: ARG002  nothing is
        return operation(self._session)

    def remove(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:
        return self.write(operation, durable=durable)

    def room_for(self, wanted: int) -> AbstractContextManager[Allotment]:
        """Contents are elsewhere."""
        return unlimited(wanted)

    def close(self) -> None:
        """Whoever opened it closes it."""


class Transaction:
    """A transaction that takes the index from one state to another.

    Attributes:
        session: for the SQL of the caller's own tables.
        references: the references half, within this transaction.
    """

    def __init__(self, session: Session, references: SqlReferences) -> None:
        self.session = session
        self.references = references
        self.is_undone = False

    def undo(self) -> None:
        """Have the transaction undone in the end."""
        self.is_undone = True

    @contextmanager
    def attempt(self, refusals: tuple[type[Exception], ...]) -> Iterator[None]:
        """Undo what the block does if it raises one of `refusals`; the transaction goes on.

        Any other error must end the transaction.
        """
        self.session.run("SAVEPOINT attempt")
        try:
            yield
        except refusals:
            self.session.run("ROLLBACK TO attempt")
            self.session.run("RELEASE attempt")
            raise
        self.session.run("RELEASE attempt")

    def changes(self) -> int:
        """A number that grows with each row that is changed."""
        return int(self.session.first("SELECT total_changes()")[0])


class SqliteIndex:
    """An index in a file. One thread at a time changes it; any number of threads read it, and see whole states only.

    Attributes:
        reading: answers the questions of the references half, each as of one moment.

    Args:
        path: the file. Nothing else may write to it.
        tables: the caller's own tables and their first rows, as SQL.
        present: looks contents up in them.
        remedy: what the user can do when the file fails, for the errors.
    """

    def __init__(self, path: Path, tables: str, present: Present, remedy: str) -> None:
        self._path = path
        self._tables = tables
        self._present = present
        self._remedy = remedy
        self._dialect = Sqlite()
        self._engine = create_engine(
            f"sqlite+pysqlite:///{path}",
            isolation_level="AUTOCOMMIT",  # transactions begin and end where we say so
            hide_parameters=True,
        )
        event.listen(self._engine, "connect", _set_up)
        self._files = OpenFiles()
        self._writing = threading.RLock()  # held while the writer's connection is in use: SQLite may not close it then
        self._writer: Connection | None = None
        self._references: SqlReferences | None = None  # of the writer; None when what it remembers may be wrong
        self.reading = SqlReferences(_Reading(self), ExitStack())

    def start(self, copy: Path | None = None) -> None:
        """Begin with the state of a copy, which is moved here; or with an empty one.

        Raises:
            StoreCorrupt: it is no copy of an index.
            IncompatibleSchema: it is of another version of kharvest-sql.
        """
        with self._told():
            if copy is None:
                self._path.write_bytes(_empty(self._tables))
            else:
                copy.replace(self._path)
            self._connect()
        self._check()
        with self._told():
            self._files.watch(self._path, Path(f"{self._path}-wal"), Path(f"{self._path}-shm"))

    def restart(self, copy: Path) -> None:
        """Go on with the state of a copy, in the place of the one there is.

        Raises:
            StoreCorrupt, IncompatibleSchema: see `start`.
        """
        self._references = None
        with self._writing, self._told(), closing(sqlite3.connect(copy)) as source:
            driver: Any = self._connect().connection.driver_connection
            source.backup(driver)
        self._check()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise what goes wrong with the file as what it is: no fault of what is indexed, and no lack of room there."""
        try:
            yield
        except SQLAlchemyError as error:
            try:
                with told(file=self._path):
                    raise
            except StoreFull:
                raise self._failed(error) from error
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreUnavailable:
        reason = f"the local index in {self._path.parent} failed: {' '.join(str(error).split())}"
        return StoreUnavailable(reason, self._remedy)

    def _check(self) -> None:
        with self._told(), self._engine.connect() as connection:
            if versions.pair_of(connection, _WHERE) != _PAIR:
                raise StoreCorrupt("a copy of an index holds none")

    def _connect(self) -> Connection:
        if self._writer is None:
            self._writer = self._engine.connect()
            self._writer.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return self._writer

    @contextmanager
    def change(self) -> Iterator[Transaction]:
        """A transaction, which is undone when the block raises."""
        self._files.check()
        with self._writing, self._told():
            connection = self._connect()
            session = Session(self._dialect.execute_on(connection.connection), self._dialect)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            if self._references is None:
                self._references = SqlReferences(
                    _Connected(session), ExitStack(), lambda sha256s: self._present(session, sha256s)
                )
            transaction = Transaction(session, self._references)
            try:
                yield transaction
                if transaction.is_undone:
                    self._undo(connection)
                else:
                    connection.exec_driver_sql("COMMIT")
            except BaseException:
                self._undo(connection)
                raise

    def _undo(self, connection: Connection) -> None:
        self._references = None  # it may remember numbers that are given to something else next time
        driver: Any = connection.connection.driver_connection
        if driver.in_transaction:  # SQLite itself undoes it on some errors
            connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A snapshot."""
        self._files.check()
        with self._told(), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield Session(self._dialect.execute_on(connection.connection), self._dialect)
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def copy_to(self, path: Path, finish: Callable[[sqlite3.Connection], T]) -> T:
        """Write the state as of now into a new file, and return what `finish` makes of it in one transaction."""
        with self._told(), self._engine.connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(path),))
        with self._told(), closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")
            copy.execute("BEGIN")
            result = finish(copy)
            copy.execute("COMMIT")
            return result

    def close(self) -> None:
        """Close all connections, once the transaction that is under way has ended. The file stays."""
        with self._writing:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._engine.dispose()


class _Reading(_Connected):
    """A `Database` for `SqlReferences` that reads snapshots of the index, and writes nothing."""

    def __init__(self, index: SqliteIndex) -> None:
        self.read = index.read  # type: ignore[method-assign]


@cache
def _empty(tables: str) -> bytes:
    """An index of nothing. Made once: creating tables takes longer than all else that opening a store does."""
    engine = create_engine("sqlite+pysqlite://", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.exec_driver_sql("BEGIN")
        versions.create(connection, Sqlite(), REFERENCES, _PAIR, _WHERE)
        for statement in tables.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql("COMMIT")
        driver: Any = connection.connection.driver_connection
        data: bytes = driver.serialize()
    engine.dispose()
    return data


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute("PRAGMA journal_mode = WAL")
