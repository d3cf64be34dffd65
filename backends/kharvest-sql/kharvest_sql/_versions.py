"""Creating a half's tables, and refusing those of another version, and of another program."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Inspector, Table, inspect
from sqlalchemy.exc import DBAPIError

from kharvest.spi import IncompatibleSchema, InvalidStoreURL
from kharvest_sql._dialects import Dialect
from kharvest_sql._schema import SCHEMA_VERSION, STORE, TABLES

WRITTEN_BY = b"kharvest-sql 0.1"


def create(connection: Connection, dialect: Dialect, tables: Sequence[Table], pair: bytes, where: str) -> None:
    """Create what is missing of the tables, and say who did.

    An earlier creation may have been interrupted: what it left has our columns, and no rows. `where` is the database,
    to be told of.

    Raises:
        InvalidStoreURL: another program has a table of that name; nothing was changed.
    """
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    for table in tables:
        if table.name in there and not _is_left_by_us(connection, inspector, table):
            raise _foreign(where, table)
    TABLES.create_all(connection, tables=list(tables))
    connection.exec_driver_sql(
        dialect.spell(
            "INSERT INTO kharvest_store (id, schema_version, written_by, pair, forgets) VALUES (1, ?, ?, ?, 0)"
        ),
        (SCHEMA_VERSION, WRITTEN_BY, pair),
    )


def pair_of(connection: Connection, where: str) -> bytes | None:
    """What names the store that these tables are of; None if there are no tables.

    Raises:
        IncompatibleSchema: the tables are of another version.
        InvalidStoreURL: another program has a table of that name.
    """
    try:
        row = connection.exec_driver_sql("SELECT schema_version, pair FROM kharvest_store").first()
    except DBAPIError:  # no such table, or no such column: each driver has its own way to say so
        inspector = inspect(connection)
        if not inspector.has_table(STORE.name):
            return None
        if "schema_version" not in _columns(inspector, STORE):  # which a store of any version has
            raise _foreign(where, STORE) from None
        row = connection.exec_driver_sql("SELECT schema_version, NULL FROM kharvest_store").first()
    if row is None:
        return None
    if row[0] != SCHEMA_VERSION or row[1] is None:
        raise IncompatibleSchema(found=row[0], supported=SCHEMA_VERSION)
    return bytes(row[1])


def _is_left_by_us(connection: Connection, inspector: Inspector, table: Table) -> bool:
    if _columns(inspector, table) != set(table.c.keys()):
        return False
    return connection.exec_driver_sql(f"SELECT 1 FROM {table.name} LIMIT 1").first() is None  # noqa: S608  ours


def _columns(inspector: Inspector, table: Table) -> set[str]:
    return {column["name"] for column in inspector.get_columns(table.name)}


def _foreign(where: str, table: Table) -> InvalidStoreURL:
    return InvalidStoreURL(where, f"its table {table.name} is of another program", "name another database")
