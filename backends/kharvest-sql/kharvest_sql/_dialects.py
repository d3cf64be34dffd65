"""How the databases spell what SQL leaves open: rows as a parameter, upserts, locks."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol, TypeAlias, cast

from sqlalchemy import LargeBinary, PoolProxiedConnection, Table

Row = Sequence[Any]


class Result(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchone(self) -> Any:
        """The next row; None behind the last."""

    def fetchall(self) -> Sequence[Any]:
        """All rows."""

    def close(self) -> None:
        """Leave the other rows."""


Execute: TypeAlias = Callable[[str, Any], Result]
"""Executes a statement, written with `?` for parameters: with a tuple of them, or once for each of a list of tuples."""


class Dialect(Protocol):
    """One database's spelling. Statements are written with `?` for parameters and pass through `spell`."""

    then: str
    """Joins what was found so far with what is to be looked up for each row of it, in that order."""

    def spell(self, sql: str) -> str:
        """A statement with the driver's own parameter marks."""

    def run(self, driver: Any, before: Sequence[str], sql: str, parameters: Any, *, repeats: bool) -> Result:  # noqa: ARG002
        """Execute a statement on a driver's connection: with a tuple of parameters, or for each of a list of tuples.

        Statements `before` it, which have no parameters, are executed first. `repeats`: see `Connections.lend`.
        """
        cursor = driver.cursor()
        for one in before:
            cursor.execute(one)
        if type(parameters) is list:
            cursor.executemany(self.spell(sql), parameters)
        else:
            cursor.execute(self.spell(sql), parameters)
        return cast("Result", cursor)

    def rows(self, columns: str) -> str:
        """A table expression over one parameter from `rows_parameters`: rows of integers, columns named `a b c`."""

    def rows_parameters(self, rows: Collection[Sequence[int]]) -> tuple[Any, ...]:
        """The parameters that `rows` takes. There is at least one row."""

    def of_each(self, values: Sequence[int], select: str) -> tuple[str, int, tuple[Any, ...]]:
        """A statement with one row for each value: the value, and what `select` gives with it for `{value}`.

        Also, how many times it takes the parameters of `select`, and the parameters behind these.
        """

    def found(
        self, table: str, column: str, values: Sequence[int], where: str, order: str, limit: int
    ) -> tuple[str, tuple[Any, ...]]:
        """From FROM to WHERE: the rows `r` of a table with one of the values in an indexed column that satisfy `where`.

        Also, the parameters in front of those of `where`. No more than `limit` are needed for each value, those that
        are the first in `order`; there may come more.
        """

    def upsert(self, table: Table, key: Sequence[str], others: Sequence[str], *, change: bool) -> str:
        """Insert rows of the columns `key` and `others`; where the key is there, set the others or change nothing."""

    def upsert_parameters(self, rows: Sequence[Row]) -> Any:
        """Those rows as the parameters of `upsert`."""

    def delete(self, table: Table, key: Sequence[str]) -> str:
        """Delete rows by the columns of their key."""

    def delete_parameters(self, rows: Sequence[Sequence[int]]) -> Any:
        """Those rows as the parameters of `delete`. There is at least one."""

    lock_rows: str
    """At the end of a SELECT: nobody else changes these rows before the transaction ends."""
    begin_reading: tuple[str, ...]
    """Begins a transaction on a server all of whose statements see the moment of the first one."""
    begin_writing: tuple[str, ...]
    """Begins a transaction on a server each of whose statements sees what is committed then."""
    lock_store_shared: str | None
    """A statement that waits for who holds the store's lock alone, and then keeps it with others, until the end."""
    lock_store_alone: str | None
    """The same, but nobody else holds it meanwhile."""
    lock_schema: str | None
    """A statement that makes all others who say it wait until `unlock_schema`, or the end of the session. When it
    waited in vain, it gives 0 or raises."""
    unlock_schema: str | None
    now: str
    """The database's own clock, whole seconds since the epoch."""
    now_ns: str | None
    """The database's own clock, nanoseconds since the epoch; None for a file, which has none."""
    returning_numbers: str
    """Behind an INSERT of many rows: has it give the digests and the numbers of those that it inserted; else empty."""
    last_id: str
    """A statement for the number that this session's last INSERT was given."""


def _insert(table: Table, columns: Sequence[str], source: str) -> str:
    return f"INSERT INTO {table.name} ({', '.join(columns)}) {source}"


def _on_conflict(key: Sequence[str], values: Sequence[str]) -> str:
    action = f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in values)}" if values else "NOTHING"
    return f" ON CONFLICT ({', '.join(key)}) DO {action}"


def _of_each(dialect: Dialect, values: Sequence[int], select: str) -> tuple[str, int, tuple[Any, ...]]:
    given = f"{dialect.rows('id')} AS given"
    sql = f"SELECT given.id, ({select.format(value='given.id')}) FROM {given}"  # noqa: S608  as above
    return sql, 1, dialect.rows_parameters([(value,) for value in values])


def _marks(number: int) -> str:
    return ", ".join("?" * number)


def _equal(key: Sequence[str]) -> str:
    return " AND ".join(f"doomed.{name} = given.{name}" for name in key)


class Sqlite(Dialect):
    """SQLite. It has one writer at a time, so it needs no locks."""

    then = "CROSS JOIN"  # SQLite keeps the order of a CROSS JOIN
    lock_rows = ""
    begin_reading = begin_writing = ()  # see `sqlite`
    lock_store_shared = lock_store_alone = lock_schema = unlock_schema = None
    now = "CAST(strftime('%s', 'now') AS INTEGER)"
    now_ns = None
    returning_numbers = ""
    last_id = "SELECT last_insert_rowid()"

    def spell(self, sql: str) -> str:
        return sql

    @staticmethod
    def execute_on(connection: PoolProxiedConnection) -> Execute:
        """What executes statements on this connection: the driver, as SQLAlchemy takes longer than most of them do."""
        driver: Any = connection.driver_connection

        def execute(sql: str, parameters: Any) -> sqlite3.Cursor:
            cursor: sqlite3.Cursor = driver.cursor()
            return cursor.executemany(sql, parameters) if type(parameters) is list else cursor.execute(sql, parameters)

        return execute

    def rows(self, columns: str) -> str:
        parts = ", ".join(f"json_extract(value, '$[{i}]') AS {name}" for i, name in enumerate(columns.split()))
        return f"(SELECT {parts} FROM json_each(?))"  # noqa: S608  as above

    def rows_parameters(self, rows: Collection[Sequence[int]]) -> tuple[Any, ...]:
        return (json.dumps(list(rows), separators=(",", ":")),)

    def of_each(self, values: Sequence[int], select: str) -> tuple[str, int, tuple[Any, ...]]:
        return _of_each(self, values, select)

    def found(
        self,
        table: str,
        column: str,
        values: Sequence[int],
        where: str,
        order: str,  # noqa: ARG002
        limit: int,  # noqa: ARG002
    ) -> tuple[str, tuple[Any, ...]]:
        given = f"{self.rows('id')} AS given"
        sql = f"FROM {given} CROSS JOIN {table} r WHERE r.{column} = given.id AND {where}"
        return sql, self.rows_parameters([(value,) for value in values])

    def upsert(self, table: Table, key: Sequence[str], others: Sequence[str], *, change: bool) -> str:
        columns = [*key, *others]
        return _insert(table, columns, f"VALUES ({_marks(len(columns))})") + _on_conflict(key, others if change else ())

    def upsert_parameters(self, rows: Sequence[Row]) -> Any:
        return rows

    def delete(self, table: Table, key: Sequence[str]) -> str:
        return f"DELETE FROM {table.name} WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608  as above

    def delete_parameters(self, rows: Sequence[Sequence[int]]) -> Any:
        return rows


class PostgreSQL(Dialect):
    """PostgreSQL: rows travel as one array for each column."""

    then = "CROSS JOIN"
    lock_rows = " FOR UPDATE"
    # Two numbers of ours; a lock's number is free for all users of a database to choose.
    begin_reading = ("BEGIN ISOLATION LEVEL REPEATABLE READ",)
    begin_writing = ("BEGIN ISOLATION LEVEL READ COMMITTED",)
    lock_store_shared = "SELECT pg_advisory_xact_lock_shared(1801546354, 1)"
    lock_store_alone = "SELECT pg_advisory_xact_lock(1801546354, 1)"
    lock_schema = "SELECT pg_advisory_lock(1801546354, 2)"
    unlock_schema = "SELECT pg_advisory_unlock(1801546354, 2)"
    now = "CAST(EXTRACT(EPOCH FROM now()) AS BIGINT)"
    now_ns = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) * 1000"
    returning_numbers = " RETURNING digest, id"
    last_id = "SELECT lastval()"

    def spell(self, sql: str) -> str:
        return sql.replace("?", "%s")

    def rows(self, columns: str) -> str:
        names = columns.split()
        arrays = ", ".join("CAST(? AS bigint[])" for _ in names)
        return f"(SELECT * FROM unnest({arrays}) AS given ({', '.join(names)}))"  # noqa: S608  as above

    def rows_parameters(self, rows: Collection[Sequence[int]]) -> tuple[Any, ...]:
        return tuple(list(column) for column in zip(*rows, strict=True))

    def of_each(self, values: Sequence[int], select: str) -> tuple[str, int, tuple[Any, ...]]:
        return _of_each(self, values, select)

    def found(
        self, table: str, column: str, values: Sequence[int], where: str, order: str, limit: int
    ) -> tuple[str, tuple[Any, ...]]:
        # Its planner is free to turn a join into a walk over all of the table, but not this.
        given = f"{self.rows('id')} AS given"
        one = f"SELECT * FROM {table} r WHERE r.{column} = given.id AND {where} ORDER BY {order} LIMIT {limit}"  # noqa: S608
        return f"FROM {given} CROSS JOIN LATERAL ({one}) AS r WHERE 1 = 1", self.rows_parameters([(v,) for v in values])

    def upsert(self, table: Table, key: Sequence[str], others: Sequence[str], *, change: bool) -> str:
        columns = [*key, *others]
        kinds = ["bytea" if isinstance(table.c[name].type, LargeBinary) else "bigint" for name in columns]
        arrays = ", ".join(f"CAST(? AS {kind}[])" for kind in kinds)
        return _insert(table, columns, f"SELECT * FROM unnest({arrays})") + _on_conflict(key, others if change else ())  # noqa: S608

    def upsert_parameters(self, rows: Sequence[Row]) -> Any:
        return tuple(list(column) for column in zip(*rows, strict=True))

    def delete(self, table: Table, key: Sequence[str]) -> str:
        given = self.rows(" ".join(key))
        return f"DELETE FROM {table.name} AS doomed USING {given} AS given WHERE {_equal(key)}"  # noqa: S608  as above

    def delete_parameters(self, rows: Sequence[Sequence[int]]) -> Any:
        return self.rows_parameters(rows)


class MySQL(Dialect):
    """MySQL 8.0.4 and MariaDB 10.6 or later, for JSON_TABLE. PyMySQL makes one statement of many inserted rows."""

    then = "STRAIGHT_JOIN"
    lock_rows = " FOR UPDATE"
    begin_reading = ("START TRANSACTION",)
    begin_writing = ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION")
    lock_store_shared = "SELECT id FROM kharvest_store LOCK IN SHARE MODE"
    lock_store_alone = "SELECT id FROM kharvest_store FOR UPDATE"
    lock_schema = "SELECT GET_LOCK('kharvest schema', 1)"
    unlock_schema = "SELECT RELEASE_LOCK('kharvest schema')"
    now = "UNIX_TIMESTAMP()"
    # UTC throughout: where summer time ends, one hour of local time comes twice.
    now_ns = "TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)) * 1000"
    returning_numbers = ""
    last_id = "SELECT LAST_INSERT_ID()"

    def spell(self, sql: str) -> str:
        return sql.replace("?", "%s")

    def rows(self, columns: str) -> str:
        parts = ", ".join(f"{name} BIGINT PATH '$[{i}]'" for i, name in enumerate(columns.split()))
        return f"JSON_TABLE(?, '$[*]' COLUMNS ({parts}))"

    def rows_parameters(self, rows: Collection[Sequence[int]]) -> tuple[Any, ...]:
        return (json.dumps(list(rows), separators=(",", ":")),)

    # MariaDB finds a range of an index (of one pod, since a time) for constants only, not for what another row holds.

    def of_each(self, values: Sequence[int], select: str) -> tuple[str, int, tuple[Any, ...]]:
        parts = (f"SELECT {value}, ({select.format(value=value)})" for value in values)
        return " UNION ALL ".join(parts), len(values), ()

    def found(
        self,
        table: str,
        column: str,
        values: Sequence[int],
        where: str,
        order: str,  # noqa: ARG002
        limit: int,  # noqa: ARG002
    ) -> tuple[str, tuple[Any, ...]]:
        return f"FROM {table} r WHERE r.{column} IN ({', '.join(map(str, values))}) AND {where}", ()

    def upsert(self, table: Table, key: Sequence[str], others: Sequence[str], *, change: bool) -> str:
        columns = [*key, *others]
        # Setting a key to itself is MySQL's way to do nothing; INSERT IGNORE would also ignore what is wrong.
        changes = (
            ", ".join(f"{name} = VALUES({name})" for name in others if change) or f"{key[0]} = {table.name}.{key[0]}"
        )
        return _insert(table, columns, f"VALUES ({_marks(len(columns))}) ON DUPLICATE KEY UPDATE {changes}")

    def upsert_parameters(self, rows: Sequence[Row]) -> Any:
        return rows

    def delete(self, table: Table, key: Sequence[str]) -> str:
        given = self.rows(" ".join(key))
        return f"DELETE doomed FROM {given} AS given STRAIGHT_JOIN {table.name} AS doomed WHERE {_equal(key)}"

    def delete_parameters(self, rows: Sequence[Sequence[int]]) -> Any:
        return self.rows_parameters(rows)
