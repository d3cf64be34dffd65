"""What databases raise, told in the errors of kharvest: the one place that knows their codes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import exc

from kharvest.spi import StoreCorrupt, StoreDenied, StoreError, StoreFull, StoreUnavailable, disks

_RIGHTS = "give this user the right to write the file and its directory"
_CREDENTIALS = "correct the user and the password in the store's URL"
_DATABASE = "create the database, or correct its name in the store's URL"
_GRANT = "give this user the right to create tables in the database, and to read and write them"
_BLOCKED = "unblock this host by FLUSH HOSTS on the server"
_DISK = "see the server's log for what is wrong with its disk"
_READ_ONLY = "see that the store's URL leads to the server that can be written; try again then"
_SLOW = "try again; where the database is as slow as that, raise the option `timeout` in the store's URL"

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
_OF_DISKS = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    }
)
"""What a disk may be the cause of that can be written no more."""

# SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRESQL = {"53100": StoreFull, "XX001": StoreCorrupt, "XX002": StoreCorrupt}
_POSTGRESQL_AGAIN = frozenset({"40001", "40P01", "55P03"})  # serialization failure, deadlock, lock timeout
_POSTGRESQL_DENIED = {
    "28P01": _CREDENTIALS,
    "28000": _CREDENTIALS,
    "3D000": _DATABASE,
    "42501": _GRANT,
}
_POSTGRESQL_DENIED_IN_WORDS = (
    # libpq gives no SQLSTATE for a connection that was refused, and its server's words may be in another language:
    # then the refusal is an outage like any other.
    (re.compile(r'database ".*" does not exist'), _DATABASE),
    (re.compile(r"permission denied for database"), _GRANT),
    (re.compile(r"authentication failed|no password supplied|role \".*\" does not exist|pg_hba"), _CREDENTIALS),
    (re.compile(r"is not permitted to log in"), _CREDENTIALS),
)
_POSTGRESQL_USELESS = frozenset(
    {
        "25006",  # read-only: after a failover, this server is the standby
        "57P01",  # shutting down
        "57P02",  # crashed
        "57P03",  # starting up, or recovering
        "57P04",  # the database was dropped
    }
)
_POSTGRESQL_REMEDIES = {"25006": _READ_ONLY, "57014": _SLOW, "58030": _DISK}

# https://mariadb.com/docs/server/reference/error-codes
_MYSQL = {1021: StoreFull, 1114: StoreFull, 1034: StoreCorrupt, 1194: StoreCorrupt, 1195: StoreCorrupt}
_MYSQL_AGAIN = frozenset({1205, 1213})  # lock wait timeout, deadlock
_MYSQL_DENIED = {
    1044: _GRANT,
    1045: _CREDENTIALS,
    1049: _DATABASE,
    1129: _BLOCKED,
    1130: _CREDENTIALS,  # not from this host
    1142: _GRANT,
    1143: _GRANT,
    1227: _GRANT,
    1698: _CREDENTIALS,  # this user does not log in by a password
    1820: _CREDENTIALS,  # the password has expired
    1862: _CREDENTIALS,
    3118: _CREDENTIALS,  # the account is locked
    4151: _CREDENTIALS,
}
_MYSQL_USELESS = frozenset(
    {
        1290,  # the server is read-only: after a failover, it is the replica
        1792,  # the transaction is read-only
        1836,  # as 1290
        1053,  # shutting down
        1047,  # this node of a cluster is not ready
    }
)
_MYSQL_REMEDIES = {
    1290: _READ_ONLY,
    1792: _READ_ONLY,
    1836: _READ_ONLY,
    1969: _SLOW,
    3024: _SLOW,
    1026: _DISK,
    1030: _DISK,
}

_AWAY = (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError)


class Interrupted(StoreUnavailable):
    """The database gave this transaction up for another one's sake: nothing of it took effect."""


class Displaced(StoreUnavailable):
    """The server of this connection is not the one to talk to any more: a new connection may lead to another."""


@contextmanager
def told(remedy: str = "try again when it is back", file: Path | None = None) -> Iterator[None]:
    """Raise what SQLAlchemy or a driver raises as an error of kharvest; a mistake in our SQL stays what it is.

    `remedy` is what to do when the database is away for no reason that we know. `file` is that of a SQLite database,
    whose disk is asked what is wrong.
    """
    try:
        yield
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        told_as = _translated(error, remedy, file)
        if told_as is None:
            raise
        raise told_as from error


def _translated(error: exc.SQLAlchemyError | sqlite3.Error, remedy: str, file: Path | None) -> StoreError | None:
    original = error if isinstance(error, sqlite3.Error) else getattr(error, "orig", None)
    if original is None:
        return StoreUnavailable(str(error), remedy) if isinstance(error, _AWAY) else None
    reason = " ".join(str(original).split())
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(original, reason, file)
    state = getattr(original, "sqlstate", None)
    number = original.args[0] if original.args else None
    kind = _POSTGRESQL.get(state or "") or (_MYSQL.get(number) if isinstance(number, int) else None)
    if kind is not None:
        return kind(reason)
    if state in _POSTGRESQL_AGAIN or number in _MYSQL_AGAIN:
        return Interrupted(reason, "try again")
    denied = _denied(state, number, reason)
    if denied is not None:
        return StoreDenied(reason, denied)
    known = _POSTGRESQL_REMEDIES.get(state or "") or (_MYSQL_REMEDIES.get(number) if isinstance(number, int) else None)
    if is_useless_after(original):
        return Displaced(reason, known or remedy)
    disconnected = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    if known or disconnected or isinstance(error, _AWAY):
        return StoreUnavailable(reason, known or remedy)
    return None


def _denied(state: str | None, number: object, reason: str) -> str | None:
    """What to do about it when the server refuses this user."""
    if isinstance(number, int):
        return _MYSQL_DENIED.get(number)
    if state is not None:
        return _POSTGRESQL_DENIED.get(state)
    return next((remedy for words, remedy in _POSTGRESQL_DENIED_IN_WORDS if words.search(reason)), None)


def is_useless_after(original: BaseException) -> bool:
    """Whether a connection that raised this is of no more use, and neither are others to the same server."""
    number = original.args[0] if original.args else None
    return getattr(original, "sqlstate", None) in _POSTGRESQL_USELESS or number in _MYSQL_USELESS


def _of_sqlite(original: sqlite3.Error, reason: str, file: Path | None) -> StoreError | None:
    extended = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if extended == sqlite3.SQLITE_IOERR_SHMSIZE:
        return StoreFull(reason)
    code = extended & 0xFF  # the rest tells details
    if file is not None and code in _OF_DISKS:
        fault = disks.fault(file)
        if fault is not None:
            return disks.told_as(fault, file, reason)
    if code in _SQLITE:
        return _SQLITE[code](reason)
    if code in _SQLITE_REMEDIES:
        remedy = _SQLITE_REMEDIES[code]
        return StoreDenied(reason, remedy) if remedy == _RIGHTS else StoreUnavailable(reason, remedy)
    return None
