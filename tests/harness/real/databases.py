"""Databases on servers of SQL: one for each place, dropped afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, create_engine
from sqlalchemy.exc import DBAPIError


def administer(url: URL, *statements: str) -> None:
    """Carry out statements, each in a transaction of its own."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def answers(url: URL) -> bool:
    """Whether the server takes statements."""
    try:
        administer(url, "SELECT 1")
    except DBAPIError:
        return False
    return True


@contextmanager
def new_database(url: URL) -> Iterator[str]:
    """The URL of a new database on the server at `url`."""
    name = f"kharvest_test_{secrets.token_hex(4)}"
    administer(url, f"CREATE DATABASE {name}")
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        force = " WITH (FORCE)" if url.get_backend_name() == "postgresql" else ""
        administer(url, f"DROP DATABASE {name}{force}")
