"""A database with one half's tables: transactions, and what one can say within them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Table

from kharvest_sql.dialects import Dialect, Row

T = TypeVar("T")

_IN_AT_ONCE = 1000
"""Values in one IN list: SQLite before 3.32 takes 999 parameters, later ones 32,766; longer ones win nothing."""


class Session:
    """One transaction's view of a database. SQL is written with `?` for parameters, whatever the driver wants."""

    __slots__ = ("_connection", "dialect")

    def __init__(self, connection: Connection, dialect: Dialect) -> None:
        self._connection = connection
        self.dialect = dialect

    def all(self, sql: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
        """Every row of the result."""
        return self._connection.exec_driver_sql(self.dialect.spell(sql), tuple(parameters)).fetchall()

    def first(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first row of the result; None if there is none."""
        return self._connection.exec_driver_sql(self.dialect.spell(sql), tuple(parameters)).first()

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Execute a statement that changes rows, and tell how many."""
        return self._connection.exec_driver_sql(self.dialect.spell(sql), tuple(parameters)).rowcount

    def matching(self, sql: str, values: Collection[bytes], end: str = "") -> Iterator[Any]:
        """The rows of `sql`, which ends in ` IN`, for all of `values`; `end` is what comes behind the list."""
        left = iter(values)
        while some := tuple(islice(left, _IN_AT_ONCE - 1)):
            yield from self.all(f"{sql} ({', '.join('?' * len(some))}){end}", some)

    def run_matching(self, sql: str, values: Collection[bytes]) -> None:
        """Execute `sql`, which ends in ` IN` and changes rows, for all of `values`."""
        left = iter(values)
        while some := tuple(islice(left, _IN_AT_ONCE - 1)):
            self.run(f"{sql} ({', '.join('?' * len(some))})", some)

    def with_rows(
        self, sql: str, columns: str, rows: Collection[Sequence[int]], parameters: Sequence[Any] = ()
    ) -> Sequence[Any]:
        """The rows of `sql`, in which `{rows}` stands for the table `given` of `rows`; `parameters` come behind it."""
        if not rows:
            return ()
        table = f"{self.dialect.rows(columns)} AS given"
        return self.all(
            sql.format(rows=table, then=self.dialect.then),
            (*self.dialect.rows_parameters(rows), *parameters),
        )

    def insert(self, table: Table, key: str, others: str, rows: Sequence[Row]) -> None:
        """Insert rows of the columns `key` then `others`; where the key is there, change nothing."""
        self._upsert(table, key, others, rows, change=False)

    def upsert(self, table: Table, key: str, others: str, rows: Sequence[Row]) -> None:
        """Insert rows of the columns `key` then `others`; where the key is there, set the others."""
        self._upsert(table, key, others, rows, change=True)

    def delete(self, table: Table, key: str, rows: Sequence[Sequence[int]]) -> None:
        """Delete the rows whose columns `key` are these."""
        if rows:
            statement = self.dialect.spell(self.dialect.delete(table, key.split()))
            self._connection.exec_driver_sql(statement, self.dialect.delete_parameters(rows))

    def _upsert(self, table: Table, key: str, others: str, rows: Sequence[Row], *, change: bool) -> None:
        if rows:
            statement = self.dialect.upsert(table, key.split(), others.split(), change=change)
            self._connection.exec_driver_sql(self.dialect.spell(statement), self.dialect.upsert_parameters(rows))


class Database(Protocol):
    """Where the tables of a half are. Raises nothing but errors of kharvest for what happens at run time."""

    def read(self) -> AbstractContextManager[Session]:
        """A transaction that reads."""

    def write(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:
        """Do `operation` in a transaction that is committed when this returns, and gone whole when it raises.

        The operation may run more than once, each time with nothing left of the time before. What is not `durable`
        survives a killed process, but may be lost in a power cut until the next durable transaction.
        """

    def require_room(self, wanted: int) -> None:
        """See that so many bytes of contents fit, and leave room for references.

        Raises:
            StoreFull: they do not. A database that keeps watch over its own disk raises it when it writes.
        """

    def close(self) -> None:
        """Close all connections."""
