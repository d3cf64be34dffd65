"""What databases raise, told in the errors of kharvest: the one place that knows their codes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from kharvest.spi import StoreCorrupt, StoreError, StoreFull, StoreUnavailable

_RIGHTS = "give this user the right to write the file and its directory"
_CREDENTIALS = "correct the user and the password in the store's URL"
_DATABASE = "create the database, or correct its name in the store's URL"
_GRANT = "give this user the right to create tables in the database, and to read and write them"

_SQLITE = {
    sqlite3.SQLITE_FULL: StoreFull,
    sqlite3.SQLITE_CORRUPT: StoreCorrupt,
    sqlite3.SQLITE_NOTADB: StoreCorrupt,
}
_SQLITE_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another process holds the file for long: see who has it open, and try again",
    sqlite3.SQLITE_LOCKED: "try again",
    sqlite3.SQLITE_READONLY: _RIGHTS,
    sqlite3.SQLITE_CANTOPEN: _RIGHTS,
    sqlite3.SQLITE_PERM: _RIGHTS,
    sqlite3.SQLITE_IOERR: "see the system's log for what is wrong with the disk",
}

# SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL = {"53100": StoreFull, "XX001": StoreCorrupt, "XX002": StoreCorrupt}
_POSTGRESQL_AGAIN = frozenset({"40001", "40P01"})  # serialization failure, deadlock
_POSTGRESQL_REMEDIES = {
    "28P01": _CREDENTIALS,
    "28000": _CREDENTIALS,
    "3D000": _DATABASE,
    "42501": _GRANT,
    "25006": _GRANT,  # the server, or what this user does, is read-only
}

# https://mariadb.com/docs/server/reference/error-codes
_MYSQL = {1021: StoreFull, 1114: StoreFull, 1034: StoreCorrupt, 1194: StoreCorrupt, 1195: StoreCorrupt}
_MYSQL_AGAIN = frozenset({1205, 1213})  # lock wait timeout, deadlock
_MYSQL_REMEDIES = {
    1044: _GRANT,
    1045: _CREDENTIALS,
    1049: _DATABASE,
    1142: _GRANT,
    1290: _GRANT,  # the server is read-only
    1792: _GRANT,  # the transaction is read-only
    1836: _GRANT,  # the server is read-only
}

_AWAY = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError)


class Interrupted(StoreUnavailable):
    """The database gave this transaction up for another one's sake: nothing of it took effect."""


@contextmanager
def told(remedy: str = "try again when it is back") -> Iterator[None]:
    """Raise what SQLAlchemy or a driver raises as an error of kharvest; a mistake in our SQL stays what it is.

    `remedy` is what to do when the database is away for no reason that we know.
    """
    try:
        yield
    except exc.SQLAlchemyError as error:
        told_as = _translated(error, remedy)
        if told_as is None:
            raise
        raise told_as from error


def _translated(error: exc.SQLAlchemyError, remedy: str) -> StoreError | None:
    original = getattr(error, "orig", None)
    if original is None:
        return StoreUnavailable(str(error), remedy) if isinstance(error, _AWAY) else None
    reason = " ".join(str(original).split())
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(original, reason)
    state = getattr(original, "sqlstate", None)
    number = original.args[0] if original.args else None
    kind = _POSTGRESQL.get(state or "") or (_MYSQL.get(number) if isinstance(number, int) else None)
    if kind is not None:
        return kind(reason)
    if state in _POSTGRESQL_AGAIN or number in _MYSQL_AGAIN:
        return Interrupted(reason, "try again")
    known = _POSTGRESQL_REMEDIES.get(state or "") or (_MYSQL_REMEDIES.get(number) if isinstance(number, int) else None)
    disconnected = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    if known or disconnected or isinstance(error, _AWAY):
        return StoreUnavailable(reason, known or remedy)
    return None


def _of_sqlite(original: sqlite3.Error, reason: str) -> StoreError | None:
    code = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the rest tells details
    if code in _SQLITE:
        return _SQLITE[code](reason)
    if code in _SQLITE_REMEDIES:
        return StoreUnavailable(reason, _SQLITE_REMEDIES[code])
    return None
