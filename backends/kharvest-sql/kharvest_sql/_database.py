"""A database with one half's tables: transactions, and what one can say within them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from sqlalchemy import Table

from kharvest.spi import StoreUnavailable
from kharvest.spi.pieces import lists_of
from kharvest.spi.room import Allotment
from kharvest_sql._dialects import Dialect, Execute, Row

T = TypeVar("T")

_ROUNDS = 100
"""How often rows are inserted that others remove at once. One round is the rule, and two are rare."""
_MATCHED_AT_ONCE = 999
"""Values in one IN list: SQLite before 3.32 takes 999 parameters, later ones 32,766; longer ones win nothing."""
_ROWS_AT_ONCE = 500
"""Rows in one statement: short enough for every server's limits, of bytes and, on long timelines, of time."""


class Session:
    """One transaction's view of a database. SQL is written with `?` for parameters, whatever the driver wants.

    Attributes:
        changes_nothing: an operation that took locks only may say so: then nobody waits until that is durable.
    """

    __slots__ = ("_ahead", "_execute", "changes_nothing", "dialect")

    def __init__(self, execute: Execute, dialect: Dialect, ahead: Callable[[str], None] | None = None) -> None:
        self._execute = execute
        self.dialect = dialect
        self._ahead = ahead
        self.changes_nothing = False

    def ahead(self, sql: str) -> None:
        """Execute a statement without parameters, whose answer does not matter: where it can be, with the next one."""
        (self._ahead or self.all)(sql)

    def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return list(self._execute(sql, tuple(parameters)).fetchall())  # PyMySQL gives tuples

    def first(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        result = self._execute(sql, tuple(parameters))
        row = result.fetchone()
        result.close()
        return row

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Execute a statement that changes rows, and tell how many."""
        return int(self._execute(sql, tuple(parameters)).rowcount)

    def matching(self, sql: str, values: Collection[bytes], end: str = "") -> Iterator[Any]:
        """The rows of `sql`, which ends in ` IN`, for all of `values`; `end` is what comes behind the list."""
        for some in lists_of(_MATCHED_AT_ONCE, values):
            yield from self.all(f"{sql} ({', '.join('?' * len(some))}){end}", some)

    def run_matching(self, sql: str, values: Collection[bytes]) -> None:
        """Execute `sql`, which ends in ` IN` and changes rows, for all of `values`."""
        for some in lists_of(_MATCHED_AT_ONCE, values):
            self.run(f"{sql} ({', '.join('?' * len(some))})", some)

    def with_rows(
        self, sql: str, columns: str, rows: Collection[Sequence[int]], parameters: Sequence[Any] = ()
    ) -> Sequence[Any]:
        """The rows of `sql`, in which `{rows}` stands for the table `given` of `rows`; `parameters` come behind it.

        Many rows are given in several statements, in the order of `rows`.
        """
        statement = sql.format(rows=self.dialect.rows(columns), then=self.dialect.then)
        found: list[Any] = []
        for some in lists_of(_ROWS_AT_ONCE, rows):
            found += self.all(statement, (*self.dialect.rows_parameters(some), *parameters))
        return found

    def insert(self, table: Table, key: str, others: str, rows: Sequence[Row]) -> None:
        """Insert rows of the columns `key` then `others`; where the key is there, change nothing."""
        self._upsert(table, key, others, rows, change=False)

    def insert_numbered(self, table: Table, others: str, rows: Sequence[Row]) -> Sequence[Any]:
        """Insert rows of the columns `digest` then `others`; where the digest is there, change nothing.

        Returns the digests and numbers of those that were inserted, if the database tells; else nothing.
        """
        return self._upsert(table, "digest", others, rows, change=False, returning=self.dialect.returning_numbers)

    def upsert(self, table: Table, key: str, others: str, rows: Sequence[Row]) -> None:
        """Insert rows of the columns `key` then `others`; where the key is there, set the others."""
        self._upsert(table, key, others, rows, change=True)

    def claim_rows(self, table: Table, key: str, others: str, rows: Sequence[Row]) -> list[Any]:
        """The rows that have the keys of `rows`, locked until the end: those that are there, or else those of `rows`.

        The key is one column of bytes. Rows and locks are taken in the order of the keys, the same for all.
        """
        found: list[Any] = []
        missing = {row[0]: row for row in sorted(rows, key=itemgetter(0))}
        columns = ", ".join([key, *others.split()])
        for _round in range(_ROUNDS):
            if not missing:
                return found
            self.insert(table, key, others, [*missing.values()])
            # What the insertion found may have been deleted before it was locked: then it is inserted after all.
            locked = self.matching(
                f"SELECT {columns} FROM {table.name} WHERE {key} IN",  # noqa: S608  names from here only
                missing,
                f" ORDER BY {key}{self.dialect.lock_rows}",
            )
            for row in [*locked]:
                found.append(row)
                del missing[row[0]]
        raise StoreUnavailable(f"others removed what was inserted {_ROUNDS} times", "try again")

    def delete(self, table: Table, key: str, rows: Sequence[Sequence[int]]) -> None:
        statement = self.dialect.delete(table, key.split())
        for some in lists_of(_ROWS_AT_ONCE, rows):
            self._execute(statement, self.dialect.delete_parameters(some))

    def _upsert(
        self, table: Table, key: str, others: str, rows: Sequence[Row], *, change: bool, returning: str = ""
    ) -> list[Any]:
        statement = self.dialect.upsert(table, key.split(), others.split(), change=change) + returning
        returned: list[Any] = []
        for some in lists_of(_ROWS_AT_ONCE, rows):
            result = self._execute(statement, self.dialect.upsert_parameters(some))
            if returning:
                returned += result.fetchall()
        return returned


class Database(Protocol):
    """Where the tables of a half are. Raises nothing but errors of kharvest for what happens at run time."""

    def read(self) -> AbstractContextManager[Session]:
        """A transaction that reads, all of whose statements see the same moment."""

    def glance(self) -> AbstractContextManager[Session]:
        """The same for one statement, which needs nothing around it."""

    def write(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:
        """Do `operation` in a transaction that is committed when this returns, and gone whole when it raises.

        The operation may run more than once, each time with nothing left of the time before. What is not `durable`
        survives a killed process, but may be lost in a power cut until the next durable transaction.
        """

    def remove(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:
        """As `write`, for an operation that removes more than it adds: it is done on a full disk too."""

    def room_for(self, wanted: int) -> AbstractContextManager[Allotment]:
        """Room for so many bytes of contents, promised until the block ends; references are left room besides.

        Raises:
            StoreFull: they do not fit. A database that keeps watch over its own disk raises it when it writes.
        """

    def close(self) -> None:
        """Close all connections."""
