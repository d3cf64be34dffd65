"""What databases raise, told in the errors of kharvest: the one place that knows their codes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from kharvest.spi import StoreCorrupt, StoreError, StoreFull, StoreUnavailable

_RIGHTS = "give this user the right to write the file and its directory"

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

# https://mariadb.com/docs/server/reference/error-codes
_MYSQL = {1021: StoreFull, 1114: StoreFull, 1034: StoreCorrupt, 1194: StoreCorrupt, 1195: StoreCorrupt}
_MYSQL_AGAIN = frozenset({1205, 1213})  # lock wait timeout, deadlock

_AWAY = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError)


class Interrupted(StoreUnavailable):
    """The database gave this transaction up for another one's sake: nothing of it took effect."""


@contextmanager
def told() -> Iterator[None]:
    """Raise what SQLAlchemy or a driver raises as an error of kharvest; a mistake in our SQL stays what it is."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        told_as = _translated(error)
        if told_as is None:
            raise
        raise told_as from error


def _translated(error: exc.SQLAlchemyError) -> StoreError | None:
    original = getattr(error, "orig", None)
    if original is None:
        return StoreUnavailable(str(error)) if isinstance(error, _AWAY) else None
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
    disconnected = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    # 42501: no right to do that; 25006: the server, or the user's sessions, are read-only.
    if disconnected or isinstance(error, _AWAY) or state in {"42501", "25006"}:
        return StoreUnavailable(reason)
    return None


def _of_sqlite(original: sqlite3.Error, reason: str) -> StoreError | None:
    code = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the rest tells details
    if code in _SQLITE:
        return _SQLITE[code](reason)
    if code in _SQLITE_REMEDIES:
        return StoreUnavailable(reason, _SQLITE_REMEDIES[code])
    return None
