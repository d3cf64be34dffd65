"""Databases for the tests: a SQLite file, and one of our own on each server that answers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import DBAPIError

from kharvest_sql.store import SqlStore, open_store

_SERVERS = {
    "postgresql": ("KHARVEST_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "mariadb": ("KHARVEST_TEST_MYSQL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}


@pytest.fixture(params=["sqlite", *_SERVERS])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place for one store, empty."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/kharvest.db"
    else:
        yield from _database_on(request.param)


@pytest.fixture(params=list(_SERVERS))
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A place for one store on a server."""
    yield from _database_on(request.param)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a SQLite store that is not there yet."""
    return tmp_path / "kharvest.db"


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = open_store(url)
    yield opened
    opened.close()


def _database_on(server: str) -> Iterator[str]:
    variable, usual = _SERVERS[server]
    url = make_url(os.environ.get(variable, usual))
    name = f"kharvest_test_{secrets.token_hex(4)}"
    try:
        administer(url, f"CREATE DATABASE {name}")
    except DBAPIError as error:
        reason = f"{server} does not answer at {url.host}:{url.port} ({type(error.orig).__name__}); see {variable}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        administer(url, f"DROP DATABASE {name}{' WITH (FORCE)' if server == 'postgresql' else ''}")


def administer(url: URL, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
    finally:
        engine.dispose()
