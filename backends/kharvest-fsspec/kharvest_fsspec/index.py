"""The local index: what the log says so far, in a SQLite file of this process, which no query needs to leave.

The references and claims in it are the tables of kharvest-sql; contents have a table of their own beside them, so
that one transaction takes the whole state from one number of the log to the next. The file is thrown away when the
store closes: nothing in it need survive, and nothing is synced.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, create_engine, event

from kharvest.spi import Conflict, Content, InvalidValue, StoreCorrupt, StoreUnavailable, UnknownContent
from kharvest_fsspec import scratch
from kharvest_fsspec.operations import Append, Claim, Discard, Forget, Operation, Publish, Record, Release, Sweep
from kharvest_sql import versions
from kharvest_sql.database import Session
from kharvest_sql.dialects import Sqlite
from kharvest_sql.disks import OpenFiles
from kharvest_sql.references import SqlReferences
from kharvest_sql.room import Allotment, unlimited
from kharvest_sql.schema import REFERENCES

T = TypeVar("T")

_PAGE_BYTES = 8 * 1024
_CACHE_KIB = 16 * 1024
_LISTED_AT_ONCE = 1000
_PAIR = b"the local index"
_WHERE = "the index"

_TABLES = """
CREATE TABLE kharvest_fsspec (number INTEGER NOT NULL, swept_at_ns INTEGER NOT NULL);
INSERT INTO kharvest_fsspec VALUES (0, 0);
CREATE TABLE kharvest_fsspec_content (
    sha256 BLOB NOT NULL PRIMARY KEY, md5 BLOB NOT NULL, size INTEGER NOT NULL, object_name TEXT NOT NULL UNIQUE
) WITHOUT ROWID;
CREATE TABLE kharvest_fsspec_condemned (object_name TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE kharvest_fsspec_checkpoint (number INTEGER NOT NULL PRIMARY KEY, made_at_ns INTEGER NOT NULL);
"""
"""`number` is that of the last segment that was done. A condemned object is never published. Checkpoints that were made
are remembered for trimming: whoever makes the next one hands them on."""


class TakenForDead(StoreUnavailable):
    """An upload was condemned before it was published."""

    def __init__(self) -> None:
        super().__init__("this upload took so long that it was taken for dead and removed", "send it again")


REFUSALS = (Conflict, InvalidValue, TakenForDead, UnknownContent)
"""What an operation raises when it cannot be done in the state that there is, and others of its group can."""


class _Connected:
    """A `Database` for `SqlReferences` on a transaction that somebody else begins and ends."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def read(self) -> Iterator[Session]:
        yield self._session

    def write(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:  # noqa: ARG002  nothing is
        return operation(self._session)

    def remove(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:
        return self.write(operation, durable=durable)

    def room_for(self, wanted: int) -> AbstractContextManager[Allotment]:
        """Contents are elsewhere."""
        return unlimited(wanted)

    def close(self) -> None:
        """Whoever opened it closes it."""


class Change:
    """A transaction that takes the index from one number of the log to another."""

    def __init__(self, session: Session, references: SqlReferences) -> None:
        self._session = session
        self._references = references
        self.is_undone = False

    def undo(self) -> None:
        """Have the transaction undone in the end."""
        self.is_undone = True

    def attempt(self, operation: Operation) -> tuple[Any, bool]:
        """What the operation answers, and whether it changed anything; nothing of it stays when it is refused.

        Raises:
            REFUSALS: it is refused. Any other error must end the transaction.
        """
        before = self._changes()
        self._session.run("SAVEPOINT attempt")
        try:
            answer = self.do(operation)
        except REFUSALS:
            self._session.run("ROLLBACK TO attempt")
            self._session.run("RELEASE attempt")
            raise
        self._session.run("RELEASE attempt")
        return answer, self._changes() != before

    def _changes(self) -> int:
        return int(self._session.first("SELECT total_changes()")[0])

    def do(self, operation: Operation) -> Any:
        """What the operation answers."""
        match operation:
            case Record(files, references):
                self._references.record(files, references)
                return None
            case Append(files, references):
                return self._references.append(files, references)
            case Forget(query):
                return self._references.forget(query)
            case Claim(keys, holder, now_ns, until_ns):
                return self._references.claim(keys, holder, now_ns, until_ns)
            case Release(keys, holder):
                self._references.release(keys, holder)
                return None
            case Publish(content, object_name):
                return self._publish(content, object_name)
            case Discard(sha256s):
                return self._discard(sha256s)
            case Sweep(object_names, at_ns):
                return self._sweep(object_names, at_ns)

    def finish(self, number: int) -> None:
        """Note that this is the state after segment `number`."""
        self._session.run("UPDATE kharvest_fsspec SET number = ?", (number,))

    def _publish(self, content: Content, object_name: str) -> bool:
        if self._session.first("SELECT 1 FROM kharvest_fsspec_condemned WHERE object_name = ?", (object_name,)):
            raise TakenForDead
        row = (content.sha256, content.md5, content.size, object_name)
        self._session.run("INSERT OR IGNORE INTO kharvest_fsspec_content VALUES (?, ?, ?, ?)", row)
        there = self._session.first("SELECT object_name FROM kharvest_fsspec_content WHERE sha256 = ?", (row[0],))
        return bool(there[0] == object_name)

    def _discard(self, sha256s: Collection[bytes]) -> list[str]:
        wanted = set(sha256s)
        rows = self._session.matching("SELECT object_name FROM kharvest_fsspec_content WHERE sha256 IN", wanted)
        names = [row[0] for row in rows]
        self._session.run_matching("DELETE FROM kharvest_fsspec_content WHERE sha256 IN", wanted)
        return names

    def _sweep(self, object_names: Collection[str], at_ns: int) -> list[str]:
        self._session.run("UPDATE kharvest_fsspec SET swept_at_ns = max(swept_at_ns, ?)", (at_ns,))
        doomed = []
        for name in object_names:
            if not self._session.first("SELECT 1 FROM kharvest_fsspec_content WHERE object_name = ?", (name,)):
                self._session.run("INSERT OR IGNORE INTO kharvest_fsspec_condemned VALUES (?)", (name,))
                doomed.append(name)
        return doomed


class Index:
    """The index. One thread at a time changes it; any number of threads ask it, and see whole numbers only.

    `reading` answers the questions of the references half.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "index.db"
        self._dialect = Sqlite()
        self._engine = create_engine(
            f"sqlite+pysqlite:///{self._path}",
            isolation_level="AUTOCOMMIT",  # transactions begin and end where we say so
            hide_parameters=True,
        )
        event.listen(self._engine, "connect", _set_up)
        self._files = OpenFiles()
        self._writing = threading.RLock()  # held while the writer's connection is in use: SQLite may not close it then
        self._writer: Connection | None = None
        self._references: SqlReferences | None = None  # of the writer; None when what it remembers may be wrong
        self.reading = SqlReferences(_Reading(self), ExitStack())

    def start(self, checkpoint: Path | None = None) -> None:
        """Begin with a checkpoint's state, or with an empty one.

        Raises:
            StoreCorrupt: it is none.
            IncompatibleSchema: it is of another version of kharvest-sql.
        """
        with self._told():
            if checkpoint is None:
                self._path.write_bytes(_empty())
            else:
                checkpoint.replace(self._path)
            self._connect()
        self._check()
        with self._told():
            self._files.watch(self._path, Path(f"{self._path}-wal"), Path(f"{self._path}-shm"))

    def _told(self) -> AbstractContextManager[None]:
        return scratch.told(self._path)

    def restart(self, checkpoint: Path) -> None:
        """Go on with a checkpoint's state, in the place of the one there is."""
        self._references = None
        with self._writing, self._told(), closing(sqlite3.connect(checkpoint)) as source:
            driver: Any = self._connect().connection.driver_connection
            source.backup(driver)
        self._check()

    def _check(self) -> None:
        with self._told(), self._engine.connect() as connection:
            if versions.pair_of(connection, _WHERE) != _PAIR:
                raise StoreCorrupt("a checkpoint holds no index")

    def _connect(self) -> Connection:
        if self._writer is None:
            self._writer = self._engine.connect()
            self._writer.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")
        return self._writer

    @contextmanager
    def change(self) -> Iterator[Change]:
        """A transaction, which is undone when the block raises."""
        self._files.check()
        with self._writing, self._told():
            connection = self._connect()
            session = Session(connection, self._dialect)
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            if self._references is None:
                self._references = SqlReferences(
                    _Connected(session), ExitStack(), lambda sha256s: _present(session, sha256s)
                )
            change = Change(session, self._references)
            try:
                yield change
                if change.is_undone:
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
                yield Session(connection, self._dialect)
            finally:
                connection.exec_driver_sql("ROLLBACK")

    def number(self) -> int:
        """The number of the last segment that was done."""
        with self.read() as session:
            return int(session.first("SELECT number FROM kharvest_fsspec")[0])

    def swept_at_ns(self) -> int:
        """When objects were last swept, by the clock of the place; 0 if never."""
        with self.read() as session:
            return int(session.first("SELECT swept_at_ns FROM kharvest_fsspec")[0])

    def checkpoints(self) -> dict[int, int]:
        """The checkpoints that are remembered, and when each was made."""
        with self.read() as session:
            return {row[0]: row[1] for row in session.all("SELECT number, made_at_ns FROM kharvest_fsspec_checkpoint")}

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        """Those of the contents that are visible."""
        with self.read() as session:
            return _present(session, sha256s)

    def object_of(self, sha256: bytes) -> tuple[Content, str] | None:
        """A visible content, and the name of its object."""
        with self.read() as session:
            row = session.first(
                "SELECT md5, size, object_name FROM kharvest_fsspec_content WHERE sha256 = ?", (sha256,)
            )
        return None if row is None else (Content(sha256, row[0], row[1]), row[2])

    def published(self, object_names: Collection[str]) -> set[str]:
        """Those of the objects that are visible as contents."""
        digests = {bytes.fromhex(name.partition("/")[2].partition("-")[0]) for name in object_names}
        with self.read() as session:
            rows = session.matching("SELECT object_name FROM kharvest_fsspec_content WHERE sha256 IN", digests)
            return {row[0] for row in rows}

    def contents(self, after: bytes) -> Iterator[Content]:
        """All visible contents behind `after`, by SHA-256."""
        while True:
            with self.read() as session:
                rows = session.all(
                    "SELECT sha256, md5, size FROM kharvest_fsspec_content WHERE sha256 > ? ORDER BY sha256 LIMIT ?",
                    (after, _LISTED_AT_ONCE),
                )
            for sha256, md5, size in rows:
                yield Content(sha256, md5, size)
            if len(rows) < _LISTED_AT_ONCE:
                return
            after = rows[-1][0]

    def copy_to(self, path: Path, checkpoints: dict[int, int]) -> int:
        """Write the state as of now into a new file, with these checkpoints to remember; return its number."""
        with self._told(), self._engine.connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(path),))
        with self._told(), closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")
            copy.execute("BEGIN")
            copy.execute("DELETE FROM kharvest_fsspec_checkpoint")
            copy.executemany("INSERT INTO kharvest_fsspec_checkpoint VALUES (?, ?)", sorted(checkpoints.items()))
            copy.execute("COMMIT")
            return int(copy.execute("SELECT number FROM kharvest_fsspec").fetchone()[0])

    def close(self) -> None:
        """Close all connections. Whoever made the folder removes it."""
        with self._writing:
            if self._writer is not None:
                self._writer.close()
                self._writer = None
            self._engine.dispose()


class _Reading(_Connected):
    """A `Database` for `SqlReferences` that reads snapshots of the index, and writes nothing."""

    def __init__(self, index: Index) -> None:
        self.read = index.read  # type: ignore[method-assign]


def _present(session: Session, sha256s: Collection[bytes]) -> dict[bytes, Content]:
    sql = "SELECT sha256, md5, size FROM kharvest_fsspec_content WHERE sha256 IN"
    return {row[0]: Content(row[0], row[1], row[2]) for row in session.matching(sql, set(sha256s))}


@cache
def _empty() -> bytes:
    """An index of nothing. Made once: creating tables takes longer than all else that opening a store does."""
    engine = create_engine("sqlite+pysqlite://", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.exec_driver_sql("BEGIN")
        versions.create(connection, Sqlite(), REFERENCES, _PAIR, _WHERE)
        for statement in _TABLES.split(";\n"):
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
