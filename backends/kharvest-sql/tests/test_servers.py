"""What is particular to database servers: connections that break, credentials, replicas that start together."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from harness.stores import check_replicas_that_start_together, content_of, record, reference
from sqlalchemy import create_engine, make_url

from kharvest.spi import InvalidStoreURL, Query, StoreUnavailable
from kharvest_sql._database import Session
from kharvest_sql._store import open_references, open_store


def is_postgresql(url: str) -> bool:
    return url.startswith("postgresql")


def test_a_connection_that_breaks_within_a_call_is_unavailable_and_the_next_call_works(server_url: str) -> None:
    if is_postgresql(server_url):
        hold, waiters, kill = (
            "SELECT pg_advisory_xact_lock(1801546354, 1)",
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            "SELECT pg_terminate_backend({})",
        )
    else:
        hold, waiters, kill = (
            "SELECT id FROM kharvest_store FOR UPDATE",
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE '%%SHARE MODE'",
            "KILL {}",
        )
    engine = create_engine(server_url)
    try:
        with closing(open_store(server_url)) as store:
            record(store, reference(1))
            caught: list[Exception] = []

            def record_while_locked() -> None:
                try:
                    record(store, reference(2))
                except StoreUnavailable as error:
                    caught.append(error)

            with engine.connect() as holder, engine.connect() as watcher:
                holder.exec_driver_sql(hold)
                thread = threading.Thread(target=record_while_locked)
                thread.start()
                found = wait_for(lambda: watcher.exec_driver_sql(waiters).scalar(), watcher.rollback)
                watcher.exec_driver_sql(kill.format(found))
                thread.join(30)
                holder.rollback()
            assert len(caught) == 1
            record(store, reference(2))
            assert [one.observed_at_ns for one in store.references(Query()).items] == [1, 2]
    finally:
        engine.dispose()


def wait_for(question: Callable[[], object], between: Callable[[], None]) -> object:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = question()
        between()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError("nobody waits for the lock")


def test_a_killed_idle_connection_is_not_even_noticed(server_url: str) -> None:
    url = make_url(server_url)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with closing(open_store(server_url)) as store:
            record(store, reference(1))
            with engine.connect() as connection:
                if is_postgresql(server_url):
                    connection.exec_driver_sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                else:
                    rows = connection.exec_driver_sql(
                        "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
                    ).all()
                    for row in rows:
                        connection.exec_driver_sql(f"KILL {row[0]}")
            record(store, reference(2))
            assert len(store.references(Query()).items) == 2
    finally:
        engine.dispose()


def test_a_server_that_is_away_is_unavailable_and_its_password_is_not_told(server_url: str) -> None:
    url = make_url(server_url).set(port=1, password="hunter2", username="someone")
    with pytest.raises(StoreUnavailable) as caught:
        open_store(url.render_as_string(hide_password=False))
    seen: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        seen.append(str(error))
        error = error.__cause__
    assert "hunter2" not in " ".join(seen)


def test_a_missing_driver_is_told_with_what_to_install(server_url: str) -> None:
    code = """
import sys
sys.modules["psycopg"] = sys.modules["pymysql"] = None
from kharvest_sql._store import open_store
from kharvest.spi import InvalidStoreURL
try:
    open_store(sys.argv[1])
except InvalidStoreURL as error:
    print(error)
"""
    command = [sys.executable, "-c", code, server_url]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    extra = "postgresql" if is_postgresql(server_url) else "mysql"
    assert f"pip install 'kharvest-sql[{extra}]'" in found.stdout, found.stderr


def test_an_option_that_the_driver_does_not_know_is_refused(server_url: str) -> None:
    with pytest.raises(InvalidStoreURL, match="colour"):
        open_store(f"{server_url}?colour=blue")


def test_a_url_without_a_database_is_refused() -> None:
    for url in ("postgresql://host", "mysql://host/", "mariadb+pymysql://host"):
        with pytest.raises(InvalidStoreURL, match="names no database"):
            open_store(url)


@pytest.mark.parametrize("scheme", ["short", "with the driver"])
def test_a_scheme_with_and_without_its_driver_is_the_same_store(server_url: str, scheme: str) -> None:
    family = "postgresql" if is_postgresql(server_url) else "mariadb"
    driver = "psycopg" if is_postgresql(server_url) else "pymysql"
    name = family if scheme == "short" else f"{family}+{driver}"
    with closing(open_store(make_url(server_url).set(drivername=name).render_as_string(hide_password=False))) as store:
        record(store, reference(1))
    with closing(open_references(server_url)) as again:
        assert len(again.references(Query()).items) == 1


def test_replicas_that_start_together_create_the_tables_once(server_url: str) -> None:
    check_replicas_that_start_together(lambda: open_store(server_url), 4)


def test_an_upload_taken_for_dead_fails_and_never_shows_holes(server_url: str) -> None:
    data = bytes(12 * 2**20)
    content = content_of(data)

    def age(session: Session) -> None:
        session.run("UPDATE kharvest_unpublished SET touched_at = touched_at - 7200")

    with closing(open_store(server_url)) as store:

        def chunks() -> list[bytes]:
            return [data[: 6 * 2**20], data[6 * 2**20 :]]

        def aged() -> object:
            first, second = chunks()
            yield first
            store._contents_database.write(age)
            open_store(server_url).close()  # another replica starts, and takes the upload for a leftover
            yield second

        with pytest.raises(StoreUnavailable, match="send it again"):
            store.put(content, aged())  # type: ignore[arg-type]
        assert store.present([content.sha256]) == {}
        store.put(content, chunks())
        assert b"".join(store.read(content.sha256)) == data
