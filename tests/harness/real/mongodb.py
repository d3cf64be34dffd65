"""MongoDB: one of our own from the package SecantusDB, and the one that a user names.

SecantusDB speaks the protocol of MongoDB over its storage engine, WiredTiger: a real server in a process of its own.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from harness.real.server import CannotRun, GivenServer, OwnServer

ANSWER_MS = 2000


class MongoServer(OwnServer):
    """A single server, or a replica set of one; with `needs_password`, for users only."""

    kind = "mongodb"

    def __init__(self, *, replica_set: bool = False) -> None:
        super().__init__()
        self.needs_password = False
        self._replica_set = replica_set

    @property
    def url(self) -> str:
        """The server itself."""
        return f"mongodb://127.0.0.1:{self.port}/"

    def answers(self) -> bool:
        try:
            with client(self.url) as connected:
                connected.admin.command("ping")
        except PyMongoError:
            return False
        return True

    def launch(self) -> subprocess.Popen[bytes]:
        if find_spec("secantus") is None:
            raise CannotRun("the package SecantusDB is not installed; run `make setup`")
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--storage-path", str(self.folder / "data")]
        kind = [] if self._replica_set else ["--standalone"]
        users = ["--auth"] if self.needs_password else []
        # Not the configuration of whoever runs the tests.
        empty = self.folder / "secantusd.toml"
        empty.touch()
        command = [sys.executable, "-m", "secantus", "--config", str(empty), *kind, *where, *users]
        return self.spawn(command)

    def place(self) -> AbstractContextManager[str]:
        return new_database(self.url)


class GivenMongo(GivenServer):
    """The server that `KHARVEST_TEST_MONGODB` names: the URL of a user who may create and drop databases."""

    kind = "mongodb-given"
    variable = "KHARVEST_TEST_MONGODB"

    def __init__(self) -> None:
        self._url = os.environ.get(self.variable, "")

    def start(self) -> None:
        if not self._url:
            raise CannotRun("KHARVEST_TEST_MONGODB names no server")

    def place(self) -> AbstractContextManager[str]:
        return new_database(self._url)


def client(url: str) -> MongoClient[dict[str, Any]]:
    """A connection for the tests' own purposes; a context manager that closes it."""
    return MongoClient(url, serverSelectionTimeoutMS=ANSWER_MS)


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """The URL of a new database on the server that a URL names; of its path, only the user's database is kept."""
    name = f"kharvest_test_{secrets.token_hex(4)}"
    try:
        yield url_of(server, name)
    finally:
        with client(server) as connected:
            connected.drop_database(name)


def url_of(server: str, database: str) -> str:
    """The URL of a database on the server that a URL names."""
    address, _, options = server.partition("?")
    scheme, _, rest = address.partition("://")
    hosts, _, named = rest.partition("/")
    parts = parse_uri(server)
    if parts["username"] and "authSource" not in parts["options"]:
        options = "&".join(filter(None, (options, f"authSource={named or 'admin'}")))
    return f"{scheme}://{hosts}/{database}{'?' if options else ''}{options}"
