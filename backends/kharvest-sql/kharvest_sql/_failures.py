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

# Codes of servers. PostgreSQL's are text: https://www.postgresql.org/docs/current/errcodes-appendix.html
# Those of MySQL and MariaDB are numbers: https://mariadb.com/docs/server/reference/error-codes
_FULL = frozenset({"53100", 1021, 1114})
_CORRUPT = frozenset({"XX001", "XX002", 1034, 1194, 1195})
_AGAIN = frozenset({"40001", "40P01", "55P03", 1205, 1213})
"""Serialization failures, deadlocks, locks that were waited for in vain."""
_USELESS = frozenset(
    {
        *("25006", 1290, 1792, 1836),  # read-only: after a failover, this server is the standby
        *("57P01", "57P02", 1053),  # shutting down, or crashed
        *("57P03", 1047),  # starting up, recovering, or a node of a cluster that is not ready
        "57P04",  # the database was dropped
    }
)
_DENIED: dict[str | int, str] = {
    **dict.fromkeys(("28P01", "28000", 1045), _CREDENTIALS),
    **dict.fromkeys((1130, 1698, 1820, 1862, 3118, 4151), _CREDENTIALS),  # by host, method, or an expired password
    **dict.fromkeys(("3D000", 1049), _DATABASE),
    **dict.fromkeys(("42501", 1044, 1142, 1143, 1227), _GRANT),
    1129: _BLOCKED,
}
_DENIED_IN_WORDS = (
    # libpq gives no SQLSTATE for a connection that was refused, and its server's words may be in another language:
    # then the refusal is an outage like any other.
    (re.compile(r'database ".*" does not exist'), _DATABASE),
    (re.compile(r"permission denied for database"), _GRANT),
    (re.compile(r"authentication failed|no password supplied|role \".*\" does not exist|pg_hba"), _CREDENTIALS),
    (re.compile(r"is not permitted to log in"), _CREDENTIALS),
)
_REMEDIES: dict[str | int, str] = {
    **dict.fromkeys(("25006", 1290, 1792, 1836), _READ_ONLY),
    **dict.fromkeys(("57014", 1969, 3024), _SLOW),
    **dict.fromkeys(("58030", 1026, 1030), _DISK),
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
    code = _code(original)
    if code in _FULL:
        return StoreFull(reason)
    if code in _CORRUPT:
        return StoreCorrupt(reason)
    if code in _AGAIN:
        return Interrupted(reason, "try again")
    denied = next((one for words, one in _DENIED_IN_WORDS if words.search(reason)), None) if not code else None
    if denied or code in _DENIED:
        return StoreDenied(reason, denied or _DENIED[code])
    known = _REMEDIES.get(code)
    if code in _USELESS:
        return Displaced(reason, known or remedy)
    disconnected = isinstance(error, exc.DBAPIError) and error.connection_invalidated
    if known or disconnected or isinstance(error, _AWAY):
        return StoreUnavailable(reason, known or remedy)
    return None


def _code(original: BaseException) -> str | int:
    """A server's code of an error; empty if it has none."""
    number = original.args[0] if original.args else None
    if isinstance(number, int):  # PyMySQL tells the SQLSTATE too, which says less
        return number
    return getattr(original, "sqlstate", None) or ""


def is_useless_after(original: BaseException) -> bool:
    """Whether a connection that raised this is of no more use, and neither are others to the same server."""
    return _code(original) in _USELESS


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
