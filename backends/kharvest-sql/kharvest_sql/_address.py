"""What a store's URL says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from kharvest.spi import InvalidStoreURL, mask_url

_DRIVERS = {"postgresql": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
_POOL_OPTIONS = ("pool_size", "max_overflow", "pool_timeout", "pool_recycle")
_ANSWER_SECONDS = 8
_LEAST_ANSWER_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Address:
    """A store's URL, taken apart.

    Attributes:
        text: the URL, masked.
        url: for SQLAlchemy, with a driver and without the options that are not the driver's.
        pool: the options of the connection pool: `pool_size`, `max_overflow`, `pool_timeout`, `pool_recycle`.
        path: the file of a SQLite database; None on a server.
        answer_seconds: how long a server may take for one answer: the option `timeout`.
    """

    text: str
    url: URL
    pool: dict[str, int]
    path: Path | None
    answer_seconds: int = _ANSWER_SECONDS


def parse(text: str) -> Address:
    """Take a URL apart.

    Raises:
        InvalidStoreURL: it cannot be understood.
    """
    masked = mask_url(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Without the cause: it quotes the URL, and that may hold a password.
        raise InvalidStoreURL(masked, "it cannot be read", "see kharvest-sql's README for URLs") from None
    pool = {name: _number(masked, name, url.query[name]) for name in _POOL_OPTIONS if name in url.query}
    url = url.difference_update_query(pool)
    family, _, driver = url.drivername.partition("+")
    if family == "sqlite":
        return Address(masked, url, pool, _path(masked, url))
    if not url.database:
        raise InvalidStoreURL(masked, "it names no database", "put /NAME behind the host")
    seconds = _number(masked, "timeout", url.query.get("timeout", str(_ANSWER_SECONDS)))
    if seconds < _LEAST_ANSWER_SECONDS:
        problem = f"its option timeout is less than {_LEAST_ANSWER_SECONDS} seconds"
        raise InvalidStoreURL(masked, problem, f"write timeout={_ANSWER_SECONDS}, for instance")
    url = url.difference_update_query(["timeout"]).set(drivername=f"{family}+{driver or _DRIVERS[family]}")
    return Address(masked, url, pool, None, seconds)


def _path(masked: str, url: URL) -> Path:
    if url.host and url.username is None and url.port is None:
        # What stands after two slashes is a host, of which SQLite has none: most likely it is meant to be the file.
        meant = f"{url.host}/{url.database}" if url.database else url.host
        raise InvalidStoreURL(masked, "it names a host, and no file", f"write sqlite:///{meant}")
    if not url.database or url.database == ":memory:":
        raise InvalidStoreURL(masked, "it names no file", "use memory: for a store in memory")
    if url.host or url.database.startswith("file:"):
        remedy = "write sqlite:///relative.db or sqlite:////absolute.db"
        raise InvalidStoreURL(masked, "it does not name a file by its path", remedy)
    for name, value in url.query.items():
        if name != "timeout":
            raise InvalidStoreURL(masked, f"SQLite has no option {name}", "see kharvest-sql's README for options")
        _number(masked, name, value)
    return Path(url.database).absolute()


def _number(masked: str, name: str, value: Any) -> int:
    if not str(value).isdecimal():
        raise InvalidStoreURL(masked, f"its option {name} is not a whole number", f"write {name}=10, for instance")
    return int(value)
