"""Connections to a server: from SQLAlchemy's pool, but used without it, as it takes longer than most statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import Engine, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError

from kharvest_sql._dialects import Dialect, Result
from kharvest_sql._failures import is_useless_after

_LOSSES = "kharvest losses"


class Connections:
    """The connections to one server, each of which executes what it is told at once. Thread-safe.

    One that broke while it waited in the pool is found out by the first statement of a call, which is then executed on
    a new one; all that are as old are replaced when they are needed.
    """

    def __init__(self, engine: Engine, dialect: Dialect) -> None:
        self._engine = engine
        self.dialect = dialect
        self._losses = 0  # how often one was found broken: each connection keeps the count of when it was made

    @contextmanager
    def lend(self, begin: Sequence[str] = (), *, repeats: bool = False) -> Iterator[Lent]:
        """A connection for one call: for a transaction that `begin` begins, or, without, for one statement that reads.

        The transaction is committed at the end of the block, or rolled back when that raises. `repeats`: the statements
        are ones that the server may keep prepared, as the way to execute them is the same whatever their parameters.
        """
        lent = Lent(self, begin, repeats=repeats)
        try:
            yield lent
            lent.commit()
        except BaseException:
            lent.roll_back()
            raise
        finally:
            lent.give_back()

    def take(self) -> tuple[PoolProxiedConnection, bool]:
        """A connection, and whether it is a new one."""
        while True:
            try:
                connection = self._engine.raw_connection()
            except self._error as error:
                raise self._told(error) from error
            is_new = _LOSSES not in connection.info
            if connection.info.setdefault(_LOSSES, self._losses) == self._losses:
                return connection, is_new
            connection.invalidate()

    def told(self, connection: PoolProxiedConnection, error: Exception) -> DBAPIError | None:
        """A driver's error as SQLAlchemy's; None if it is none. A connection that is of no more use is thrown away."""
        if not isinstance(error, self._error):
            return None
        dialect: Any = self._engine.dialect
        is_lost = is_useless_after(error) or dialect.is_disconnect(error, connection.dbapi_connection, None)
        if is_lost:
            if connection.info[_LOSSES] == self._losses:
                self._losses += 1
            connection.invalidate(error)
        return self._told(error, is_lost=is_lost)

    @property
    def _error(self) -> type[Exception]:
        return self._engine.dialect.loaded_dbapi.Error

    def _told(self, error: Exception, *, is_lost: bool = False) -> DBAPIError:
        told = DBAPIError.instance(
            None,
            None,
            error,
            self._error,
            hide_parameters=True,
            connection_invalidated=is_lost,
            dialect=self._engine.dialect,
        )
        return cast("DBAPIError", told)


class Lent:
    """Executes statements on one connection, for one call; written with `?` for parameters, as in `Session`.

    The first one brings along what begins the transaction. Nothing was done before it, so it may be executed twice.
    """

    def __init__(self, connections: Connections, begin: Sequence[str], *, repeats: bool) -> None:
        self._connections = connections
        self._dialect = connections.dialect
        self._before = list(begin)
        self._repeats = repeats
        self._has_begun = False
        self._is_transaction = bool(begin)
        self._connection: PoolProxiedConnection | None = None

    def ahead(self, sql: str) -> None:
        """Execute a statement without parameters, whose answer does not matter, together with the next one."""
        self._before.append(sql)

    def __call__(self, sql: str, parameters: Any) -> Result:
        """Execute a statement: with a tuple of parameters, or once for each of a list of tuples."""
        while True:
            is_new = True
            if self._connection is None:
                self._connection, is_new = self._connections.take()
            connection = self._connection
            try:
                result = self._dialect.run(
                    connection.dbapi_connection, self._before, sql, parameters, repeats=self._repeats
                )
            except Exception as error:
                told = self._connections.told(connection, error)
                if told is None:
                    raise
                if told.connection_invalidated:
                    self._connection = None
                    if not is_new and not self._has_begun:
                        continue
                raise told from error
            self._has_begun = True
            if self._before:
                self._before.clear()
            return result

    def commit(self) -> None:
        """End the transaction, if it has begun."""
        if self._is_transaction and self._has_begun:
            self("COMMIT", ())
            self._is_transaction = False

    def roll_back(self) -> None:
        """Undo the transaction; a connection on which that cannot be done is closed, which does the same."""
        connection = self._connection
        if self._is_transaction and connection is not None:
            self._is_transaction = False
            try:
                self._dialect.run(connection.dbapi_connection, (), "ROLLBACK", (), repeats=False)
            except BaseException as error:  # noqa: BLE001  what went wrong before is on its way already
                self._connection = None
                connection.invalidate(error)

    def give_back(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
