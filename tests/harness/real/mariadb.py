"""MariaDB: one of our own where the program is installed, and the one that is there already."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import URL, make_url

from harness.real.databases import administer, answers, new_database
from harness.real.server import CannotRun, GivenServer, OwnServer


class MariaDB(OwnServer):
    """MariaDB from the machine's packages, with its own superuser `root`."""

    kind = "mariadb"

    @property
    def url(self) -> URL:
        """The server itself."""
        return make_url(f"mariadb+pymysql://root@127.0.0.1:{self.port}/mysql")

    def answers(self) -> bool:
        return answers(self.url)

    def launch(self) -> subprocess.Popen[bytes]:
        data = self.folder / "data"
        where = ["--no-defaults", f"--datadir={data}", *_as_root()]
        if not data.exists():
            install = _program("mariadb-install-db")
            self.run([install, *where, "--auth-root-authentication-method=normal", "--skip-test-db"])
        network = ["--bind-address=127.0.0.1", f"--port={self.port}", f"--socket={self.folder / 'socket'}"]
        return self.spawn([_program("mariadbd"), *where, *network, "--max-connections=200"])

    def place(self) -> AbstractContextManager[str]:
        return new_database(self.url)

    @contextmanager
    def user(self, *, password: str, grants: tuple[str, ...] = ()) -> Iterator[URL]:
        """A user who must show a password; the URL has it, and names the database `mysql`."""
        name = f"needs_password_{os.urandom(4).hex()}"
        create = f"CREATE USER {name} IDENTIFIED BY '{password}'"
        administer(self.url, create, *(grant.format(name) for grant in grants))
        try:
            yield self.url.set(username=name, password=password)
        finally:
            administer(self.url, f"DROP USER {name}")


class GivenMariaDB(GivenServer):
    """The server that `KHARVEST_TEST_MYSQL` names, or else the one on this machine where one answers."""

    kind = "mariadb-given"
    variable = "KHARVEST_TEST_MYSQL"

    def __init__(self) -> None:
        named = os.environ.get(self.variable)
        self._url = make_url(named or "mysql+pymysql://root@127.0.0.1:3306/test")
        self._is_named = named is not None

    def start(self) -> None:
        if not self._is_named and not answers(self._url):
            raise CannotRun("no MariaDB answers on 127.0.0.1:3306; KHARVEST_TEST_MYSQL names another one")

    def place(self) -> AbstractContextManager[str]:
        return new_database(self._url)


def _program(name: str) -> Path:
    folders = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
    found = shutil.which(name, path=folders)
    if found is None:
        raise CannotRun(f"{name} is not installed; Debian's package mariadb-server has it")
    return Path(found)


def _as_root() -> list[str]:
    """MariaDB runs as root only where it is told to."""
    return ["--user=root"] if os.geteuid() == 0 else []
