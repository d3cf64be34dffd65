"""A half's tables in a SQLite file: one writer, readers that never wait for it, and what is durable when."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event

from kharvest.spi import InvalidStoreURL, StoreFull, StoreUnavailable
from kharvest_sql import versions
from kharvest_sql.address import Address
from kharvest_sql.database import Session
from kharvest_sql.dialects import Sqlite
from kharvest_sql.failures import told
from kharvest_sql.groups import Groups, Job
from kharvest_sql.room import most_log_bytes, require_room

T = TypeVar("T")

_BUSY_SECONDS = 10.0
"""How long to wait for another process's transaction: some hundred of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a file is to hold, and how.

    Attributes:
        tables: the tables.
        page_bytes: SQLite's page size, fixed when the file is created. Chunks of contents go fastest in large pages,
            scattered changes of narrow rows in small ones.
        cache_kib: what the writer's connection may hold in memory. Readers' have SQLite's usual 2 MB.
    """

    tables: Sequence[Table]
    page_bytes: int
    cache_kib: int


class SqliteFile:
    """A `Database` in one SQLite file, in WAL mode.

    All writes of this process go through one connection, which the group's lock guards. A durable transaction is
    fsynced before it returns. One that need not be durable is not: it becomes durable with the next one that is, as
    a commit in the log counts only if all before it are whole.
    """

    def __init__(self, engine: Engine, path: Path, layout: Layout) -> None:
        self._engine = engine
        self._path = path
        self._where = f"sqlite:///{path}"
        self._layout = layout
        self._dialect = Sqlite()
        self._groups = Groups(self._transaction)
        self._writer: Connection | None = None
        self._writes_are_durable = True

    def connect(self) -> None:
        """Connect once, to see whether that goes."""
        with told(), self._engine.connect():
            pass

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that reads: a snapshot, from its first statement on."""
        with told(), self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                yield Session(connection, self._dialect)
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def write(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:
        """See `Database.write`."""
        return self._groups.run(lambda: operation(Session(self._connection(), self._dialect)), durable=durable)

    def _transaction(self, jobs: list[Job[object]]) -> None:
        with told():
            connection = self._connection()
            durable = any(job.durable for job in jobs)
            if durable != self._writes_are_durable:
                connection.exec_driver_sql(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._writes_are_durable = durable
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                for job in jobs:
                    job.run()
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise

    def _roll_back(self, connection: Connection) -> None:
        # SQLite itself rolls back on some errors (a full disk, say), and then refuses a ROLLBACK.
        driver: Any = connection.connection.driver_connection
        if driver.in_transaction:
            connection.exec_driver_sql("ROLLBACK")

    def _connection(self) -> Connection:
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
        with told(), self._engine.connect() as connection:
            pair = versions.pair_of(connection, self._where)
        if pair is None:
            raise InvalidStoreURL(self._where, "it is a database of another program", "name another file")
        return pair

    def create(self, pair: bytes) -> None:
        """Create the tables, unless somebody else just did."""
        connection = self._connection()
        with told():
            connection.exec_driver_sql(f"PRAGMA page_size = {self._layout.page_bytes}")
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                if versions.pair_of(connection, self._where) is None:
                    versions.create(connection, self._dialect, self._layout.tables, pair, self._where)
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                self._roll_back(connection)
                raise

    def prepare_to_write(self) -> None:
        """See to it that this user may write the file, before anybody relies on it."""
        with told():
            connection = self._connection()
            connection.exec_driver_sql(f"PRAGMA cache_size = -{self._layout.cache_kib}")
            log_bytes = most_log_bytes(self._path.parent)
            page_bytes = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
            connection.exec_driver_sql(f"PRAGMA wal_autocheckpoint = {max(1, log_bytes // page_bytes)}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.exec_driver_sql("UPDATE kharvest_store SET forgets = forgets")
            connection.exec_driver_sql("ROLLBACK")

    def require_room(self, wanted: int) -> None:
        """See `Database.require_room`."""
        try:
            self._require_room(wanted)
        except StoreFull:
            # The log holds pages twice until they are moved into the file, and keeps its size after that.
            with told(), self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            self._require_room(wanted)

    def _require_room(self, wanted: int) -> None:
        log = Path(f"{self._path}-wal")
        with told(), self._engine.connect() as connection:
            free_pages = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        require_room(
            self._path,
            wanted,
            log_bytes=log.stat().st_size if log.exists() else 0,
            free_bytes=free_pages * self._layout.page_bytes,
        )

    def close(self) -> None:
        """Close all connections. The last of all processes to close moves the log into the file."""
        with told():
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._engine.dispose()


def open_file(where: Address, path: Path, layout: Layout) -> SqliteFile:
    """Connect to the file, which need not be there; see `SqliteFile.pair` for what is in it."""
    _check_place(path)
    engine = create_engine(
        where.url.set(drivername="sqlite+pysqlite", database=str(path)).update_query_dict(
            {"timeout": str(_BUSY_SECONDS), **where.url.query}
        ),
        isolation_level="AUTOCOMMIT",  # transactions begin and end where we say so
        hide_parameters=True,
        **where.pool,
    )
    event.listen(engine, "connect", _set_up)
    return SqliteFile(engine, path, layout)


def _check_place(path: Path) -> None:
    """Refuse what cannot be a file, before SQLite tells of it in fewer words."""
    if path.is_dir():
        raise InvalidStoreURL(f"sqlite:///{path}", "it is a directory", "name a file in it")
    if not path.parent.is_dir():
        raise InvalidStoreURL(f"sqlite:///{path}", f"there is no directory {path.parent}", "create it")
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}", "give this user the right to it") from error


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = FULL")
