"""Our own stores keep the contract: the suite runs against each, as a backend's author would run it.

PostgreSQL and MariaDB are taken where the backend's own tests look for them (see the README of kharvest-sql); where
they do not answer, the test says so, and in CI that is a failure.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

SERVERS = {
    "postgresql": ("KHARVEST_TEST_POSTGRESQL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "mariadb": ("KHARVEST_TEST_MYSQL", "mariadb+pymysql://root@127.0.0.1:3306/test"),
}


def conformance(*arguments: str) -> None:
    """Run the suite; every test that the store's capabilities ask for must have run and passed."""
    command = [sys.executable, "-m", "kharvest", "conformance", *arguments, "--json", "--seed", "1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    assert json.loads(run.stdout)["verdict"] == "conforms"


@contextmanager
def database(kind: str) -> Iterator[str]:
    """The URL of a new database on a server of this kind."""
    variable, default = SERVERS[kind]
    server = make_url(os.environ.get(variable, default))
    name = f"kharvest_test_{secrets.token_hex(4)}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    except OperationalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no {kind} answers at {server.render_as_string()}: {error.orig}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}")
        engine.dispose()


def test_memory_conforms() -> None:
    conformance("memory:")


@pytest.mark.slow
def test_sqlite_conforms(sqlite_url: str) -> None:
    conformance(sqlite_url)


@pytest.mark.slow
def test_references_and_contents_in_two_stores_conform(tmp_path: Path) -> None:
    conformance(f"sqlite:///{tmp_path}/references.db", "--contents", f"sqlite:///{tmp_path}/contents.db")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVERS)
def test_a_database_server_conforms(kind: str) -> None:
    with database(kind) as url:
        conformance(url, "--examples", "10")
