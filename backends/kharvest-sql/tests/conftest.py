"""Places for stores: a SQLite file, and a database on each real server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.real import RealServer, RealServers
from harness.real.fixtures import real_servers

from kharvest_sql._store import SqlStore, open_store

__all__ = ["real_servers"]

OWN = ("postgresql", "mariadb")
VARIABLES = {"postgresql": "KHARVEST_TEST_POSTGRESQL", "mariadb": "KHARVEST_TEST_MYSQL"}
SERVERS = [f"{kind}-given" if VARIABLES[kind] in os.environ else kind for kind in OWN]
"""Servers of our own, or those that the user names."""


@pytest.fixture(params=["sqlite", *SERVERS])
def url(request: pytest.FixtureRequest, tmp_path: Path, real_servers: RealServers) -> Iterator[str]:
    """A place for one store, empty."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/kharvest.db"
        return
    with real_servers.get(request.param).place() as place:
        yield place


@pytest.fixture(params=SERVERS)
def server_url(request: pytest.FixtureRequest, real_servers: RealServers) -> Iterator[str]:
    """A place for one store on a server."""
    with real_servers.get(request.param).place() as place:
        yield place


@pytest.fixture(params=OWN)
def server(request: pytest.FixtureRequest, real_servers: RealServers) -> RealServer:
    """A server of our own, that may be stopped and started again."""
    return real_servers.get(request.param)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a SQLite store that is not there yet."""
    return tmp_path / "kharvest.db"


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = open_store(url)
    yield opened
    opened.close()
