"""The tables in a database server: PostgreSQL, MySQL or MariaDB."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from sqlalchemy import Engine, ExceptionContext, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import NoSuchModuleError

from kharvest.spi import InvalidStoreURL
from kharvest.spi.room import Allotment, unlimited
from kharvest_sql import _mysql as mysql
from kharvest_sql import _versions as versions
from kharvest_sql._address import Address
from kharvest_sql._connections import Connections
from kharvest_sql._database import Session
from kharvest_sql._dialects import Dialect, MySQL, PostgreSQL
from kharvest_sql._failures import Displaced, Interrupted, is_useless_after, told
from kharvest_sql._schema import CONTENTS, REFERENCES

T = TypeVar("T")

_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 1.0
_OLDEST_SECONDS = 3600
"""Connections older than this are replaced: within what servers and firewalls leave alone."""
_OPENING_SECONDS = 60
"""How long to wait for another process that creates the tables."""
_CONNECTING = "see that it runs, and correct the host, user, password and database in the store's URL"


class ServerDatabase:
    """A `Database` on a server. A connection that broke is replaced at its next use, without a restart.

    Whatever the server and the network do, each call ends: no answer takes longer than the address's `answer_seconds`,
    and nothing is tried again so long after the call began.
    """

    def __init__(self, engine: Engine, dialect: Dialect, where: Address) -> None:
        self._engine = engine
        self._connections = Connections(engine, dialect)
        self._dialect = dialect
        self._where = where.text
        self._answer_seconds = where.answer_seconds

    def connect(self) -> None:
        """Connect once, to see whether that goes."""
        with told(_CONNECTING), self._engine.connect():
            pass

    def administer(self, statement: str, database: str) -> None:
        """Carry out a statement that is in no transaction, with the quoted name of a database for its `{}`."""
        quoted = self._engine.dialect.identifier_preparer.quote_identifier(database)
        with told(), self._engine.connect() as connection:
            connection.exec_driver_sql(statement.format(quoted))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """See `Database.read`: all statements see what is committed when the first one starts."""
        with told(), self._connections.lend(self._dialect.begin_reading) as lent:
            yield Session(lent, self._dialect, lent.ahead)

    @contextmanager
    def glance(self) -> Iterator[Session]:
        with told(), self._connections.lend() as lent:
            yield Session(lent, self._dialect)

    def write(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:  # noqa: ARG002  here all is durable
        """See `Database.write`. A deadlock's victim tries again, while there is time."""

        def transaction() -> T:
            with self._connections.lend(self._dialect.begin_writing, repeats=True) as lent:
                session = Session(lent, self._dialect, lent.ahead)
                result = operation(session)
                if session.changes_nothing:
                    lent.roll_back()
                return result

        return _persist(transaction, self._answer_seconds)

    def prepare(self) -> None:
        """Create the tables if they are not there, and see to it that this user may write them.

        Raises:
            IncompatibleSchema: they are of another version.
            InvalidStoreURL: another program has a table of that name.
        """
        _persist(self._prepare, _OPENING_SECONDS)

    def _prepare(self) -> None:
        with self._engine.connect() as connection:
            if self._engine.dialect.name != "postgresql":
                mysql.check_limits(connection)
            if versions.pair_of(connection, self._where) is None:
                if connection.exec_driver_sql(str(self._dialect.lock_schema)).scalar() == 0:
                    raise Interrupted("another process is creating the tables", "try again")
                try:
                    if versions.pair_of(connection, self._where) is None:
                        tables = [*{*CONTENTS, *REFERENCES}]
                        versions.create(connection, self._dialect, tables, secrets.token_bytes(16), self._where)
                finally:
                    connection.exec_driver_sql(str(self._dialect.unlock_schema))
            connection.exec_driver_sql("UPDATE kharvest_store SET forgets = forgets WHERE id = 0")  # there is none

    def remove(self, operation: Callable[[Session], T], *, durable: bool = True) -> T:
        """See `Database.remove`: the server keeps room for what it needs."""
        return self.write(operation, durable=durable)

    def room_for(self, wanted: int) -> AbstractContextManager[Allotment]:
        """See `Database.room_for`: the server says so itself when it is full."""
        return unlimited(wanted)

    def close(self) -> None:
        """Close all connections; one that is in use closes when its call ends."""
        event.listen(self._engine, "checkin", _close_returned)
        self._engine.dispose()


def _close_returned(connection: DBAPIConnection | None, _record: object) -> None:
    if connection is not None:
        connection.close()


def _persist(attempt: Callable[[], T], seconds: float) -> T:
    """Try until the database no longer gives it up for another one's sake; no more when so many seconds are over.

    When the connection led to the wrong server, try once with a new one.
    """
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    is_connected_anew = False
    while True:
        try:
            with told():
                return attempt()
        except Displaced:
            if is_connected_anew:
                raise
            is_connected_anew = True
            continue
        except Interrupted:
            if time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0, pause))  # noqa: S311  not a secret
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def connect(where: Address) -> ServerDatabase:
    """A database on the server that the URL names; see `ServerDatabase.prepare`."""
    driver = where.url.get_driver_name()
    is_postgresql = where.url.get_backend_name() == "postgresql"
    own = (
        {"use_native_hstore": False} if driver == "psycopg" else {}
    )  # or each store that is opened asks for its number
    try:
        engine = create_engine(
            where.url.update_query_dict({**_limits(driver, where.answer_seconds), **where.url.query}),
            isolation_level="AUTOCOMMIT",  # transactions begin and end where we say so
            pool_reset_on_return=None,  # see `Connections.lend`
            hide_parameters=True,
            **{**own, "pool_recycle": _OLDEST_SECONDS, "pool_timeout": where.answer_seconds // 2, **where.pool},
        )
    except NoSuchModuleError:
        raise InvalidStoreURL(where.text, "SQLAlchemy knows no such driver", "leave the driver out") from None
    except ModuleNotFoundError as error:
        family = "postgresql" if is_postgresql else "mysql"
        remedy = f"pip install 'kharvest-sql[{family}]'"
        raise InvalidStoreURL(where.text, f"its driver {error.name} is not installed", remedy) from error
    event.listen(engine, "handle_error", _let_go)
    if is_postgresql:
        if driver == "psycopg":
            from kharvest_sql import _postgresql as postgresql  # noqa: PLC0415  it imports the driver

            postgresql.set_up(engine, where.answer_seconds)
            return ServerDatabase(engine, postgresql.Psycopg(), where)
        return ServerDatabase(engine, PostgreSQL(), where)
    mysql.set_up(engine, where.answer_seconds, _text(where.url.query.get("init_command")))
    return ServerDatabase(engine, MySQL(), where)


def _limits(driver: str, answer_seconds: int) -> dict[str, str]:
    """Options of the drivers that are ours, so that they wait no longer than that."""
    connecting = {"connect_timeout": str(answer_seconds // 2)}
    if driver == "psycopg":
        return connecting
    if driver == "pymysql":
        return {**connecting, "read_timeout": str(answer_seconds), "write_timeout": str(answer_seconds)}
    return {}


def _let_go(context: ExceptionContext) -> None:
    """Have the pool throw its connections away when one says that its server is not the one to talk to."""
    if is_useless_after(context.original_exception):
        context.is_disconnect = True


def _text(value: str | tuple[str, ...] | None) -> str | None:
    return value if isinstance(value, str) else None
