"""A MongoDB server for the tests, and a database of its own for each."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from harness.real import RealServer, RealServers
from harness.real.fixtures import real_servers

from kharvest_mongo._store import MongoStore, open_store

__all__ = ["real_servers"]


@pytest.fixture(scope="session")
def mongo(real_servers: RealServers) -> RealServer:
    """The server, running; tests may stop it and start it again."""
    return real_servers.get("mongodb")


@pytest.fixture(params=["mongodb", *(["mongodb-given"] if "KHARVEST_TEST_MONGODB" in os.environ else [])])
def url(request: pytest.FixtureRequest, real_servers: RealServers) -> Iterator[str]:
    """A place for one store, empty, on each server."""
    with real_servers.get(request.param).place() as place:
        yield place


@pytest.fixture
def own_url(mongo: RealServer) -> Iterator[str]:
    """A place for one store on the server of our own."""
    with mongo.place() as place:
        yield place


@pytest.fixture
def store(url: str) -> Iterator[MongoStore]:
    opened = open_store(url)
    yield opened
    opened.close()
