"""Creating a half's tables, and refusing those of another version."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, inspect

from kharvest.spi import IncompatibleSchema
from kharvest_sql.dialects import Dialect
from kharvest_sql.schema import SCHEMA_VERSION, STORE, TABLES

WRITTEN_BY = b"kharvest-sql 0.1"


def create(connection: Connection, dialect: Dialect, tables: Sequence[Table], pair: bytes) -> None:
    """Create what is missing of the tables, and say who did."""
    TABLES.create_all(connection, tables=list(tables))
    connection.exec_driver_sql(
        dialect.spell(
            "INSERT INTO kharvest_store (id, schema_version, written_by, pair, forgets) VALUES (1, ?, ?, ?, 0)"
        ),
        (SCHEMA_VERSION, WRITTEN_BY, pair),
    )


def pair_of(connection: Connection) -> bytes | None:
    """What names the store that these tables are of; None if there are no tables.

    Raises:
        IncompatibleSchema: the tables are of another version.
    """
    if not inspect(connection).has_table(STORE.name):
        return None
    row = connection.exec_driver_sql("SELECT schema_version, pair FROM kharvest_store").first()
    if row is None:
        return None
    if row[0] != SCHEMA_VERSION:
        raise IncompatibleSchema(found=row[0], supported=SCHEMA_VERSION)
    return bytes(row[1])
