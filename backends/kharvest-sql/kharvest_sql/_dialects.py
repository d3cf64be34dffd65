"""How the databases spell what SQL leaves open: rows as a parameter, upserts, locks."""

from __future__ import annotations

import json
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

from sqlalchemy import LargeBinary, PoolProxiedConnection, Table

Row: TypeAlias = Sequence[Any]
Result: TypeAlias = Any
"""A cursor of the driver, after a statement."""
Execute: TypeAlias = Callable[[str, Any], Result]
"""Executes a statement, written with `?` for parameters: with a tuple of them, or once for each of a list of tuples."""


class Dialect(ABC):
    """One database's spelling. Statements are written with `?` for parameters and pass through `spell`."""

    then = "CROSS JOIN"
    """Joins what was found so far with what is to be looked up for each row of it, in that order."""
    lock_rows = " FOR UPDATE"
    """At the end of a SELECT: nobody else changes these rows before the transaction ends."""
    begin_reading: tuple[str, ...] = ()
    """Begins a transaction on a server all of whose statements see the moment of the first one."""
    begin_writing: tuple[str, ...] = ()
    """Begins a transaction on a server each of whose statements sees what is committed then."""
    lock_store_shared: str | None = None
    """A statement that waits for who holds the store's lock alone, and then keeps it with others, until the end."""
    lock_store_alone: str | None = None
    """The same, but nobody else holds it meanwhile."""
    lock_schema: str | None = None
    """A statement that makes all others who say it wait until `unlock_schema`, or the end of the session. When it
    waited in vain, it gives 0 or raises."""
    unlock_schema: str | None = None
    now: str
    """The database's own clock, whole seconds since the epoch."""
    now_ns: str | None = None
    """The database's own clock, nanoseconds since the epoch; None for a file, which has none."""
    returning_numbers = ""
    """Behind an INSERT of many rows: has it give the digests and the numbers of those that it inserted."""
    last_id: str
    """A statement for the number that this session's last INSERT was given."""

    def spell(self, sql: str) -> str:
        """A statement with the driver's own parameter marks."""
        return sql.replace("?", "%s")

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
        return cursor

    @abstractmethod
    def rows(self, columns: str) -> str:
        """A table expression `given` over the parameters from `rows_parameters`: integers, in columns named `a b c`."""

    def rows_parameters(self, rows: Collection[Sequence[int]]) -> tuple[Any, ...]:
        """The parameters that `rows` takes. There is at least one row."""
        return (json.dumps(list(rows), separators=(",", ":")),)

    def of_each(self, values: Sequence[int], select: str) -> tuple[str, int, tuple[Any, ...]]:
        """A statement with one row for each value: the value, and what `select` gives with it for `{value}`.

        Also, how many times it takes the parameters of `select`, and the parameters behind these.
        """
        sql = f"SELECT given.id, ({select.format(value='given.id')}) FROM {self.rows('id')}"  # noqa: S608  ours
        return sql, 1, self.rows_parameters([(value,) for value in values])

    def found(
        self, table: str, column: str, values: Sequence[int], where: str, order: str, limit: int
    ) -> tuple[str, tuple[Any, ...]]:
        """From FROM to WHERE: the rows `r` of a table with one of the values in an indexed column that satisfy `where`.

        Also, the parameters in front of those of `where`. No more than `limit` are needed for each value, those that
        are the first in `order`; there may come more.
        """
        del order, limit
        sql = f"FROM {self.rows('id')} {self.then} {table} r WHERE r.{column} = given.id AND {where}"
        return sql, self.rows_parameters([(value,) for value in values])

    @abstractmethod
    def upsert(self, table: Table, key: Sequence[str], others: Sequence[str], *, change: bool) -> str:
        """Insert rows of the columns `key` and `others`; where the key is there, set the others or change nothing."""

    def upsert_parameters(self, rows: Sequence[Row]) -> Any:
        """Those rows as the parameters of `upsert`."""
        return rows

    @abstractmethod
    def delete(self, table: Table, key: Sequence[str]) -> str:
        """Delete rows by the columns of their key."""

    def delete_parameters(self, rows: Sequence[Sequence[int]]) -> Any:
        """Those rows as the parameters of `delete`. There is at least one."""
        return self.rows_parameters(rows)


def _insert(table: Table, columns: Sequence[str], source: str = "") -> str:
    source = source or f"VALUES ({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table.name} ({', '.join(columns)}) {source}"


def _on_conflict(key: Sequence[str], values: Sequence[str]) -> str:
    action = f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in values)}" if values else "NOTHING"
    return f" ON CONFLICT ({', '.join(key)}) DO {action}"


def _all_equal(key: Sequence[str]) -> str:
    return " AND ".join(f"doomed.{name} = given.{name}" for name in key)


class Sqlite(Dialect):
    """SQLite. It keeps the order of a CROSS JOIN. It has one writer at a time, so it needs no locks."""

    lock_rows = ""
    now = "CAST(strftime('%s', 'now') AS INTEGER)"
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
        return f"(SELECT {parts} FROM json_each(?)) AS given"  # noqa: S608  as above

    def upsert(self, table: Table, key: Sequence[str], others: Sequence[str], *, change: bool) -> str:
        return _insert(table, [*key, *others]) + _on_conflict(key, others if change else ())

    def delete(self, table: Table, key: Sequence[str]) -> str:
        return f"DELETE FROM {table.name} WHERE {' AND '.join(f'{name} = ?' for name in key)}"  # noqa: S608  as above

    def delete_parameters(self, rows: Sequence[Sequence[int]]) -> Any:
        return rows


class PostgreSQL(Dialect):
    """PostgreSQL: rows travel as one array for each column."""

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

    def rows(self, columns: str) -> str:
        names = columns.split()
        arrays = ", ".join("CAST(? AS bigint[])" for _ in names)
        return f"(SELECT * FROM unnest({arrays}) AS given ({', '.join(names)})) AS given"  # noqa: S608  as above

    def rows_parameters(self, rows: Collection[Row]) -> tuple[Any, ...]:
        return tuple(list(column) for column in zip(*rows, strict=True))

    def found(
        self, table: str, column: str, values: Sequence[int], where: str, order: str, limit: int
    ) -> tuple[str, tuple[Any, ...]]:
        # Its planner is free to turn a join into a walk over all of the table, but not this.
        one = f"SELECT * FROM {table} r WHERE r.{column} = given.id AND {where} ORDER BY {order} LIMIT {limit}"  # noqa: S608
        sql = f"FROM {self.rows('id')} CROSS JOIN LATERAL ({one}) AS r WHERE 1 = 1"
        return sql, self.rows_parameters([(value,) for value in values])

    def upsert(self, table: Table, key: Sequence[str], others: Sequence[str], *, change: bool) -> str:
        columns = [*key, *others]
        kinds = ["bytea" if isinstance(table.c[name].type, LargeBinary) else "bigint" for name in columns]
        arrays = ", ".join(f"CAST(? AS {kind}[])" for kind in kinds)
        return _insert(table, columns, f"SELECT * FROM unnest({arrays})") + _on_conflict(key, others if change else ())  # noqa: S608

    def upsert_parameters(self, rows: Sequence[Row]) -> Any:
        return self.rows_parameters(rows)

    def delete(self, table: Table, key: Sequence[str]) -> str:
        given = self.rows(" ".join(key))
        return f"DELETE FROM {table.name} AS doomed USING {given} WHERE {_all_equal(key)}"  # noqa: S608  as above


class MySQL(Dialect):
    """MySQL 8.0.4 and MariaDB 10.6 or later, for JSON_TABLE. PyMySQL makes one statement of many inserted rows."""

    then = "STRAIGHT_JOIN"
    begin_reading = ("START TRANSACTION",)
    begin_writing = ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION")
    lock_store_shared = "SELECT id FROM kharvest_store LOCK IN SHARE MODE"
    lock_store_alone = "SELECT id FROM kharvest_store FOR UPDATE"
    lock_schema = "SELECT GET_LOCK('kharvest schema', 1)"
    unlock_schema = "SELECT RELEASE_LOCK('kharvest schema')"
    now = "UNIX_TIMESTAMP()"
    # UTC throughout: where summer time ends, one hour of local time comes twice.
    now_ns = "TIMESTAMPDIFF(MICROSECOND, TIMESTAMP'1970-01-01 00:00:00', UTC_TIMESTAMP(6)) * 1000"
    last_id = "SELECT LAST_INSERT_ID()"

    def rows(self, columns: str) -> str:
        parts = ", ".join(f"{name} BIGINT PATH '$[{i}]'" for i, name in enumerate(columns.split()))
        return f"JSON_TABLE(?, '$[*]' COLUMNS ({parts})) AS given"

    # MariaDB finds a range of an index (of one pod, since a time) for constants only, not for what another row holds.

    def of_each(self, values: Sequence[int], select: str) -> tuple[str, int, tuple[Any, ...]]:
        parts = (f"SELECT {value}, ({select.format(value=value)})" for value in values)
        return " UNION ALL ".join(parts), len(values), ()

    def found(
        self, table: str, column: str, values: Sequence[int], where: str, order: str, limit: int
    ) -> tuple[str, tuple[Any, ...]]:
        del order, limit
        return f"FROM {table} r WHERE r.{column} IN ({', '.join(map(str, values))}) AND {where}", ()

    def upsert(self, table: Table, key: Sequence[str], others: Sequence[str], *, change: bool) -> str:
        # Setting a key to itself is MySQL's way to do nothing; INSERT IGNORE would also ignore what is wrong.
        changes = (
            ", ".join(f"{name} = VALUES({name})" for name in others if change) or f"{key[0]} = {table.name}.{key[0]}"
        )
        return f"{_insert(table, [*key, *others])} ON DUPLICATE KEY UPDATE {changes}"

    def delete(self, table: Table, key: Sequence[str]) -> str:
        given = self.rows(" ".join(key))
        return f"DELETE doomed FROM {given} STRAIGHT_JOIN {table.name} AS doomed WHERE {_all_equal(key)}"
