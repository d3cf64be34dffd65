"""`kharvest server` says what is wrong with a store, changes nothing, and never shows a password."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from harness import Pod, ServerProcess


def start(*arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A server that is expected not to start."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "kharvest", "server", "--listen", "127.0.0.1:0", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_store_must_be_named() -> None:
    run = start()
    assert run.returncode == 2
    assert "--store" in run.stderr


@pytest.mark.slow
def test_a_store_url_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"sqlite:///{tmp_path}/store.db\n")
    with ServerProcess("", "--store-file", str(tmp_path / "url")) as server, Pod(server.address) as pod:
        pod.harvest_files({"/etc/a": b"a"})
    assert (tmp_path / "store.db").exists()


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = start("--store", f"sqlite:///{tmp_path}/nowhere/store.db")
    assert run.returncode != 0
    assert "nowhere" in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "nowhere").exists()


def test_an_unreadable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    # Root may read every directory, unless it goes without the capabilities that say so (capabilities(7)).
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    run = start("--store", f"sqlite:///{tmp_path}/closed/store.db", prefix=plain)
    assert run.returncode != 0
    assert "closed" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_a_directory_instead_of_a_file_is_named(tmp_path: Path) -> None:
    run = start("--store", f"sqlite:///{tmp_path}")
    assert run.returncode != 0
    assert str(tmp_path) in run.stderr
    assert "Traceback" not in run.stderr


def test_a_corrupt_file_is_told_and_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    store.write_bytes(b"this is no database, and never was one" * 100)
    before = store.read_bytes()
    run = start("--store", f"sqlite:///{store}")
    assert run.returncode == 1
    assert "corrupt" in run.stderr
    assert "backup" in run.stderr
    assert "Traceback" not in run.stderr
    assert store.read_bytes() == before


@pytest.mark.slow
def test_a_file_of_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with ServerProcess(f"sqlite:///{store}"):
        pass
    with closing(sqlite3.connect(store)) as database:
        (version,) = database.execute("SELECT schema_version FROM kharvest_store").fetchone()
        database.execute("UPDATE kharvest_store SET schema_version = schema_version + 1")
        database.commit()
    run = start("--store", f"sqlite:///{store}")
    assert run.returncode == 1
    assert f"schema version {version + 1}" in run.stderr
    assert "upgrade" in run.stderr
    with closing(sqlite3.connect(store)) as database:
        assert database.execute("SELECT schema_version FROM kharvest_store").fetchone() == (version + 1,)


@pytest.mark.slow
def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with closing(sqlite3.connect(store)) as database:
        database.execute("CREATE TABLE customers (name TEXT)")
        database.commit()
    run = start("--store", f"sqlite:///{store}")
    assert run.returncode == 2
    assert "another program" in run.stderr
    assert "Traceback" not in run.stderr
    with closing(sqlite3.connect(store)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]


@pytest.mark.slow
@pytest.mark.parametrize("file", ["file.db", "folder/file.db"])
def test_a_store_url_with_too_few_slashes_is_told_with_those_it_needs(file: str) -> None:
    run = start("--store", f"sqlite://{file}")
    assert run.returncode == 2
    assert f"write sqlite:///{file}" in run.stderr


@pytest.mark.slow
def test_a_password_is_in_no_message(tmp_path: Path) -> None:
    for url in ("nosuch://me:hunter2@db/x", "sqlite://me:hunter2@db/x", "memory:?password=hunter2"):
        run = start("--store", url)
        assert run.returncode != 0
        assert "hunter2" not in run.stdout + run.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_setting_out_of_range_is_named() -> None:
    run = start("--store", "memory:", "--stall-seconds", "0")
    assert run.returncode == 2
    assert "stall-seconds" in run.stderr
    run = start("--store", "memory:", "--listen", "nowhere")
    assert run.returncode == 2
    assert "HOST:PORT" in run.stderr


def test_an_address_that_cannot_be_listened_on_is_named() -> None:
    run = start("--store", "memory:", "--listen", "192.0.2.1:50051")
    assert run.returncode == 1
    assert "192.0.2.1:50051" in run.stderr
    assert "Traceback" not in run.stderr
