"""A half's tables in a SQLite file: one writer, readers that never wait for it, and what is durable when."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, PoolProxiedConnection, Table, create_engine, event

from kharvest.spi import GroupCommit, InvalidStoreURL, StoreFull, StoreUnavailable
from kharvest.spi.disks import OpenFiles, told_as
from kharvest.spi.room import Allotment, Promises, Reserve, most_log_bytes, require_room
from kharvest_sql import _versions as versions
from kharvest_sql._address import Address
from kharvest_sql._database import Session
from kharvest_sql._dialects import Sqlite
from kharvest_sql._failures import told

T = TypeVar("T")

_BUSY_SECONDS = 10.0
"""How long to wait for another process's transaction: some hundred of ours."""
_LARGEST_WRITE_BYTES = 5 * 2**20
"""What one transaction of an upload adds to the log at most."""
_OVERHEAD_SHARE = 32
"""Chunks take this part more of the file than they have bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a file is to hold, and how.

    Attributes:
        tables: the tables.
        application_id: what tells such a file from those of other programs, see https://sqlite.org/fileformat.html.
        page_bytes: SQLite's page size, fixed when the file is created. Chunks of contents go fastest in large pages,
            scattered changes of narrow rows in small ones.
        cache_kib: what the writer's connection may hold in memory. Readers' have SQLite's usual 2 MB.
    """

    tables: Sequence[Table]
    application_id: int
    page_bytes: int
    cache_kib: int


@dataclass(frozen=True, slots=True)
class _Write:
    """One operation that waits for a transaction."""

    operation: Callable[[Session], Any]
    durable: bool


class SqliteFile:
    """A `Database` in one SQLite file, in WAL mode.

    All writes of this process go through one connection, which only a group's leader uses. A durable transaction is
    fsynced before it returns. One that need not be durable is not: it becomes durable with the next one that is, as
    a commit in the log counts only if all before it are whole.
    """

    def __init__(self, engine: Engine, path: Path, layout: Layout, reserve: Reserve) -> None:
        self._engine = engine
        self._path = path
        self._reserve = reserve
        self._promises = Promises()
        self._files = OpenFiles()
        reserve.logs.append(self._give_back_log)
        self._where = f"sqlite:///{path}"
        self._layout = layout
        self._dialect = Sqlite()
        self._groups: GroupCommit[_Write, Any] = GroupCommit(self._transaction)
        self._writer: Connection | None = None
        self._writer_in_use = threading.Lock()  # a connection that is closed under a statement crashes the process
        self._is_closed = False
        self._writes_are_durable = True

    def _told(self) -> AbstractContextManager[None]:
        return told(file=self._path)

    def connect(self) -> None:
        """Connect once, to see whether that goes."""
        with self._told(), self._engine.connect():
            pass

    @contextmanager
    def read(self) -> Iterator[Session]:
        """See `Database.read`: a transaction of SQLite shows one moment, from its first statement on."""
        with self.glance() as session:
            session.run("BEGIN")
            try:
                yield session
            finally:
                session.run("ROLLBACK")

    @contextmanager
    def glance(self) -> Iterator[Session]:
        self._files.check()
        with self._told(), closing(self._engine.raw_connection()) as connection:
            yield self._session(connection)

    def _session(self, connection: PoolProxiedConnection) -> Session:
        return Session(self._dialect.execute_on(connection), self._dialect)

    def write(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:
        result: T = self._groups.run(_Write(operation, durable))
        return result

    def _transaction(self, writes: Sequence[_Write]) -> list[Any]:
        try:
            return self._commit(writes)
        except StoreFull:
            # The file may have free pages, and the log none: it begins anew when its pages are in the file.
            self._checkpoint("RESTART")
            return self._commit(writes)

    def _commit(self, writes: Sequence[_Write]) -> list[Any]:
        self._files.check()
        with self._writer_in_use, self._told():
            connection = self._connection()
            session = self._session(connection.connection)
            durable = any(write.durable for write in writes)
            if durable != self._writes_are_durable:
                session.run(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._writes_are_durable = durable
            session.run("BEGIN IMMEDIATE")
            try:
                results = [write.operation(session) for write in writes]
                session.run("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise
        self._files.check()  # what was committed to a file that nobody finds again is not acknowledged
        return results

    def _roll_back(self, connection: Connection) -> None:
        # SQLite itself rolls back on some errors (a full disk, say), and then refuses a ROLLBACK.
        driver: Any = connection.connection.driver_connection
        if driver.in_transaction:
            connection.exec_driver_sql("ROLLBACK")

    def _connection(self) -> Connection:
        if self._is_closed:
            raise StoreUnavailable("it was closed", "open it again")
        if self._writer is None:
            self._writer = self._engine.connect()
        return self._writer

    def pair(self) -> bytes | None:
        """What names the store in this file; None if the file holds nothing yet.

        Raises:
            IncompatibleSchema: it was written by another version of us.
            InvalidStoreURL: it is somebody else's database. Nothing was written.
        """
        with self.read() as session:
            tables = session.all("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not tables:
            return None
        with self._told(), self._engine.connect() as connection:
            application_id = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
            pair = versions.pair_of(connection, self._where)
        if pair is None or application_id != self._layout.application_id:
            raise InvalidStoreURL(self._where, "it is a database of another program", "name another file")
        return pair

    def create(self, pair: bytes) -> None:
        """Create the tables, unless somebody else just did."""
        connection = self._connection()
        with self._told():
            connection.exec_driver_sql(f"PRAGMA page_size = {self._layout.page_bytes}")
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                if versions.pair_of(connection, self._where) is None:
                    connection.exec_driver_sql(f"PRAGMA application_id = {self._layout.application_id}")
                    versions.create(connection, self._dialect, self._layout.tables, pair, self._where)
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise

    def prepare_to_write(self) -> None:
        """See to it that this user may write the file, before anybody relies on it."""
        with self._told():
            connection = self._connection()
            connection.exec_driver_sql(f"PRAGMA cache_size = -{self._layout.cache_kib}")
            log_bytes = most_log_bytes(self._path.parent)
            page_bytes = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
            connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {max(1, log_bytes // page_bytes)}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.exec_driver_sql("UPDATE kharvest_store SET forgets = forgets")
            connection.exec_driver_sql("ROLLBACK")
        try:
            # The log and its index live as long as the connection above: without the log, commits would be lost; two
            # processes that do not share the index would overwrite each other's.
            self._files.watch(self._path, Path(f"{self._path}-wal"), Path(f"{self._path}-shm"))
        except OSError as error:
            raise told_as(error, self._path) from error

    def remove(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:
        """See `Database.remove`: on a full disk, it is done in the room that is reserved for it."""
        try:
            return self.write(operation, durable=durable)
        except StoreFull:
            with self._reserve.given_up():
                try:
                    return self.write(operation, durable=durable)
                finally:
                    self._checkpoint("RESTART")  # the log keeps its room, for what is recorded next

    def _give_back_log(self) -> None:
        self._checkpoint("TRUNCATE")  # the log holds pages twice, and keeps its size after they were moved

    def _checkpoint(self, mode: str) -> None:
        """Move the log's pages into the file, as far as that goes; see https://sqlite.org/pragma.html for modes."""
        with suppress(StoreFull, StoreUnavailable), self._told(), self._engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA wal_checkpoint({mode})")

    def room_for(self, wanted: int) -> AbstractContextManager[Allotment]:
        return self._promises.promise(wanted, self._require_room)

    def _require_room(self, promised: int) -> None:
        self._files.check()
        self._reserve.hold()
        try:
            self._check_room(promised)
        except StoreFull:
            self._give_back_log()
            self._check_room(promised)

    def _check_room(self, promised: int) -> None:
        log = Path(f"{self._path}-wal")
        log_bytes = log.stat().st_size if log.exists() else 0
        with self._told(), closing(self._engine.raw_connection()) as connection:
            free_pages = self._session(connection).first("PRAGMA freelist_count")[0]
        wanted = promised + promised // _OVERHEAD_SHARE
        most = most_log_bytes(self._path.parent)
        log_growth = max(0, most + min(wanted, _LARGEST_WRITE_BYTES) - log_bytes)
        file_growth = max(0, log_bytes + wanted - free_pages * self._layout.page_bytes)
        require_room(self._path, log_growth + file_growth, kept=most + self._reserve.missing())

    def close(self) -> None:
        """Close all connections, once the transaction that is under way has ended.

        The last of all processes to close moves the log into the file.
        """
        self._reserve.logs.clear()
        with self._writer_in_use, self._told():
            self._is_closed = True
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._engine.dispose()


def open_file(where: Address, path: Path, layout: Layout, reserve: Reserve) -> SqliteFile:
    """Connect to the file, which need not be there; see `SqliteFile.pair` for what is in it."""
    engine = create_engine(
        where.url.set(drivername="sqlite+pysqlite", database=str(path)).update_query_dict(
            {"timeout": str(_BUSY_SECONDS), **where.url.query}
        ),
        isolation_level="AUTOCOMMIT",  # transactions begin and end where we say so
        hide_parameters=True,
        **where.pool,
    )
    event.listen(engine, "connect", _set_up)
    return SqliteFile(engine, path, layout, reserve)


def check_place(path: Path) -> None:
    """Refuse what cannot be a file, before SQLite tells of it in fewer words."""
    try:
        if path.is_dir():
            raise InvalidStoreURL(f"sqlite:///{path}", "it is a directory", "name a file in it")
        if not path.parent.is_dir():
            raise InvalidStoreURL(f"sqlite:///{path}", f"there is no directory {path.parent}", "create it")
        with suppress(FileNotFoundError):
            path.stat()
    except OSError as error:
        raise told_as(error, path) from error


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    # Some builds of SQLite write zeros over what is deleted: removing a content would take as much room as putting it.
    connection.execute("PRAGMA secure_delete = OFF")
