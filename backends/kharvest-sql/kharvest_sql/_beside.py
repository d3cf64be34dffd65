"""Places beside a store's: another file, or another database on the same server."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url

from kharvest.spi import StoreDenied
from kharvest.spi.disks import told_as
from kharvest_sql import _address as address
from kharvest_sql import _server as server

_LONGEST_NAME = 63
"""Of a database, in bytes: PostgreSQL's limit, which is the shorter one."""


@contextmanager
def beside(url: str, label: str) -> Iterator[str]:
    """See `Backend.beside`."""
    where = address.parse(url)
    given = make_url(url)
    if where.path is None:
        with _database(where, label) as name:
            yield _named(given, name)
    else:
        with _file(where.path, label) as path:
            yield _named(given, str(path))


def _named(url: URL, database: str) -> str:
    return url.set(database=database).render_as_string(hide_password=False)


@contextmanager
def _file(path: Path, label: str) -> Iterator[Path]:
    """A path for a file beside one. Its name does not begin as that one's, so neither is taken for a part of the other.

    Nothing is there yet: opening makes it.
    """
    new = path.with_name(f"{label}-{path.name}")
    made = f"{glob.escape(new.name)}*"
    if any(path.parent.glob(made)):
        raise StoreDenied(f"{new} is there already", "remove it, or wait until whoever has made it has ended")
    try:
        yield new
    finally:
        for one in path.parent.glob(made):
            try:
                one.unlink()
            except OSError as error:
                raise told_as(error, one) from error


@contextmanager
def _database(where: address.Address, label: str) -> Iterator[str]:
    """The name of a database beside the one that a URL names, made by the same user."""
    name = f"{label}_{where.url.database}".encode()[:_LONGEST_NAME].decode(errors="ignore")
    _administer(where, "CREATE DATABASE {}", name)
    try:
        yield name
    finally:
        force = " WITH (FORCE)" if where.url.get_backend_name() == "postgresql" else ""
        _administer(where, f"DROP DATABASE {{}}{force}", name)


def _administer(where: address.Address, statement: str, database: str) -> None:
    """Carry out a statement about a database. No connection is left open: processes are forked meanwhile."""
    try:
        with closing(server.connect(where)) as here:
            here.administer(statement, database)
    except StoreDenied as error:
        raise StoreDenied(error.reason, "give this user the right to create and drop databases") from error
