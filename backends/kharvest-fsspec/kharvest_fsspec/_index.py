"""The local index: what the log says so far, in a file of this process, which no query needs to leave.

The references and claims in it are those of kharvest-sql; contents have a table of their own beside them, so that one
transaction takes the whole state from one number of the log to the next. The file is thrown away when the store closes:
nothing in it need survive, and nothing is synced.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from kharvest.spi import Conflict, Content, InvalidValue, StoreUnavailable, UnknownContent
from kharvest.spi.pieces import listing
from kharvest_fsspec import _scratch as scratch
from kharvest_fsspec._operations import Append, Claim, Discard, Forget, Operation, Publish, Record, Release, Sweep
from kharvest_sql.index import Session, SqliteIndex, Transaction

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


class Change:
    """What takes the index from one number of the log to another."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._session = transaction.session
        self._references = transaction.references

    def attempt(self, operation: Operation) -> tuple[Any, bool]:
        """What the operation answers, and whether it changed anything; nothing of it stays when it is refused.

        Raises:
            REFUSALS: it is refused. Any other error must end the transaction.
        """
        before = self._transaction.changes()
        with self._transaction.attempt(REFUSALS):
            answer = self.do(operation)
        return answer, self._transaction.changes() != before

    def do(self, operation: Operation) -> Any:
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


class Index(SqliteIndex):
    """The index. One thread at a time changes it; any number of threads ask it, and see whole numbers only."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "index.db", _TABLES, _present, scratch.REMEDY)

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
        with self.read() as session:
            return _present(session, sha256s)

    def object_of(self, sha256: bytes) -> tuple[Content, str] | None:
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
        return listing(self._some, after)

    def _some(self, after: bytes, limit: int) -> list[Content]:
        sql = "SELECT sha256, md5, size FROM kharvest_fsspec_content WHERE sha256 > ? ORDER BY sha256 LIMIT ?"
        with self.read() as session:
            return [Content(*row) for row in session.all(sql, (after, limit))]

    def checkpoint(self, path: Path, checkpoints: dict[int, int]) -> int:
        """Write the state as of now into a new file, with these checkpoints to remember; return its number."""

        def finish(copy: sqlite3.Connection) -> int:
            copy.execute("DELETE FROM kharvest_fsspec_checkpoint")
            copy.executemany("INSERT INTO kharvest_fsspec_checkpoint VALUES (?, ?)", sorted(checkpoints.items()))
            return int(copy.execute("SELECT number FROM kharvest_fsspec").fetchone()[0])

        return self.copy_to(path, finish)


def _present(session: Session, sha256s: Collection[bytes]) -> dict[bytes, Content]:
    sql = "SELECT sha256, md5, size FROM kharvest_fsspec_content WHERE sha256 IN"
    return {row[0]: Content(*row) for row in session.matching(sql, set(sha256s))}
