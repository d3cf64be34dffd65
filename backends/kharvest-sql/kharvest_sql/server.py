"""The tables in a database server: PostgreSQL, MySQL or MariaDB."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import NoSuchModuleError

from kharvest.spi import InvalidStoreURL
from kharvest_sql import versions
from kharvest_sql.address import Address
from kharvest_sql.database import Session
from kharvest_sql.dialects import Dialect, MySQL, PostgreSQL
from kharvest_sql.failures import Interrupted, told
from kharvest_sql.schema import CONTENTS, REFERENCES

T = TypeVar("T")

_ATTEMPTS = 8
_FIRST_PAUSE_SECONDS = 0.005
_IDLE_SECONDS = 3600
"""Connections older than this are replaced: within what servers and firewalls leave alone."""
_CONNECTING = "see that it runs, and correct the host, user, password and database in the store's URL"


class ServerDatabase:
    """A `Database` on a server. A connection that broke is replaced at its next use, without a restart."""

    def __init__(self, engine: Engine, dialect: Dialect, where: str) -> None:
        self._engine = engine
        self._dialect = dialect
        self._where = where

    def connect(self) -> None:
        """Connect once, to see whether that goes."""
        with told(_CONNECTING), self._engine.connect():
            pass

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that reads; each of its statements sees what is committed when it starts."""
        with told(), self._engine.connect() as connection:
            yield Session(connection, self._dialect)

    def write(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:  # noqa: ARG002  here all is durable
        """See `Database.write`. A deadlock's victim tries again, a bounded number of times."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with told(), self._engine.begin() as connection:
                    return operation(Session(connection, self._dialect))
            except Interrupted:
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(random.uniform(0, _FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311  not a secret
        raise AssertionError("the last attempt returns or raises")

    def prepare(self) -> None:
        """Create the tables if they are not there, and see to it that this user may write them.

        Raises:
            IncompatibleSchema: they are of another version.
            InvalidStoreURL: another program has a table of that name.
        """
        with told(), self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if versions.pair_of(connection, self._where) is None:
                connection.exec_driver_sql(str(self._dialect.lock_schema))
                try:
                    if versions.pair_of(connection, self._where) is None:
                        tables = [*{*CONTENTS, *REFERENCES}]
                        versions.create(connection, self._dialect, tables, secrets.token_bytes(16), self._where)
                finally:
                    connection.exec_driver_sql(str(self._dialect.unlock_schema))
            connection.exec_driver_sql("UPDATE kharvest_store SET forgets = forgets WHERE id = 0")  # there is none

    def require_room(self, wanted: int) -> None:
        """See `Database.require_room`: the server says so itself, and keeps room for what it needs."""

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def connect(where: Address) -> ServerDatabase:
    """A database on the server that the URL names; see `ServerDatabase.prepare`."""
    try:
        engine = create_engine(
            where.url,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            hide_parameters=True,
            **{"pool_recycle": _IDLE_SECONDS, **where.pool},
        )
    except NoSuchModuleError:
        raise InvalidStoreURL(where.text, "SQLAlchemy knows no such driver", "leave the driver out") from None
    except ModuleNotFoundError as error:
        family = "postgresql" if where.url.get_backend_name() == "postgresql" else "mysql"
        remedy = f"pip install 'kharvest-sql[{family}]'"
        raise InvalidStoreURL(where.text, f"its driver {error.name} is not installed", remedy) from error
    dialect: Dialect = PostgreSQL() if engine.dialect.name == "postgresql" else MySQL()
    if isinstance(dialect, MySQL):
        event.listen(engine, "connect", _sort_whole_paths)
    return ServerDatabase(engine, dialect, where.text)


def _sort_whole_paths(connection: Any, _record: object) -> None:
    # MySQL and MariaDB sort by the first 1024 bytes unless told otherwise.
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION max_sort_length = 8192")
