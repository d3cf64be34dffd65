"""A correct store in one SQLite file: DURABLE and SHARED, simple, and slow."""

from __future__ import annotations

import pickle
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from kharvest.spi import Capability
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

BUSY_SECONDS = 30.0
PIECES_AT_ONCE = 16


class FiledStore(PlainStore):
    """Reads the whole state, pickled, at the start of each call, and writes it at the end, in one transaction.

    What was read or written last is not unpickled again as long as the file has the same.
    """

    capabilities = frozenset({Capability.DURABLE, Capability.SHARED})

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.unpickled: tuple[bytes, State] = (b"", State())
        self.database = sqlite3.connect(
            address, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=0
        )
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute("PRAGMA synchronous=NORMAL")  # survives a killed process, which is all that tests can see
        self.database.execute("CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY, pickled BLOB)")
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS piece (body TEXT, number INTEGER, data BLOB, PRIMARY KEY (body, number))"
        )

    def close(self) -> None:
        with self.lock:
            self.database.close()

    def session(self) -> AbstractContextManager[State]:
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[State]:
        with self.lock:
            self.begin()
            try:
                row = self.database.execute("SELECT pickled FROM state").fetchone()
                before = row[0] if row else b""
                state = self.unpickle(before)
                yield state
                after = pickle.dumps(state)
                self.unpickled = (after, state)
                if after != before:
                    self.database.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (after,))
            except BaseException:
                self.database.execute("ROLLBACK")
                raise
            self.commit()

    def unpickle(self, pickled: bytes) -> State:
        """A state for one call, which may spoil it."""
        (last, state), self.unpickled = self.unpickled, (b"", State())
        return state if pickled == last else pickle.loads(pickled)

    def begin(self) -> None:
        self.database.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self.database.execute("COMMIT")

    def keep(self, chunks: Iterable[bytes]) -> object:
        body = uuid.uuid4().hex
        try:
            for number, chunk in enumerate(chunks):
                with self.lock:
                    self.database.execute("INSERT INTO piece VALUES (?, ?, ?)", (body, number, chunk))
        except BaseException:
            with self.lock:
                self.database.execute("DELETE FROM piece WHERE body = ?", (body,))
            raise
        return body

    def pieces(self, kept: object) -> Iterator[bytes]:
        number = 0
        while True:
            with self.lock:
                rows = self.database.execute(
                    "SELECT data FROM piece WHERE body = ? AND number BETWEEN ? AND ? ORDER BY number",
                    (kept, number, number + PIECES_AT_ONCE - 1),
                ).fetchall()
            if not rows:
                return
            yield from (data for (data,) in rows)
            number += len(rows)
