"""A store goes on after a failover: connections to what is no primary any more are not used again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from harness.real import RealServer
from harness.real.databases import administer
from harness.real.mariadb import MariaDB
from harness.real.postgresql import PostgreSQL
from harness.real.proxy import Proxy
from harness.stores import record, reference
from sqlalchemy import URL

from kharvest.spi import Query, StoreDenied, StoreUnavailable
from kharvest_sql._store import SqlStore, open_store

Server = PostgreSQL | MariaDB
DATABASE = "kharvest_failover"
KILL = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'"


@contextmanager
def database_on(server: RealServer) -> Iterator[tuple[Server, URL]]:
    """A database, as a user sees it whom `read_only` binds."""
    assert isinstance(server, Server)
    administer(server.url, f"CREATE DATABASE {DATABASE}")
    url = server.url.set(database=DATABASE)
    if isinstance(server, MariaDB):
        administer(server.url, "CREATE USER ordinary", f"GRANT ALL ON {DATABASE}.* TO ordinary")
        url = url.set(username="ordinary")
    try:
        yield server, url
    finally:
        if isinstance(server, MariaDB):
            administer(server.url, f"DROP DATABASE {DATABASE}", "DROP USER ordinary")
        else:
            administer(server.url, f"DROP DATABASE {DATABASE} WITH (FORCE)")


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    """A time in which the database cannot be written: on PostgreSQL by sessions that begin in it."""
    if isinstance(server, MariaDB):
        setting, before, after = "SET GLOBAL read_only = {}", 1, 0
        administer(server.url, setting.format(before))
    else:
        setting, after = f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = {{}}", 0
        administer(server.url, setting.format("on"), KILL)
    try:
        yield
    finally:
        administer(server.url, setting.format(after))


def text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def recorded(store: SqlStore) -> list[int]:
    return [one.observed_at_ns for one in store.references(Query()).items]


def test_a_database_that_is_writable_again_is_written_by_the_next_call(server: RealServer) -> None:
    with database_on(server) as (ours, url), closing(open_store(text(url))) as store:
        record(store, reference(1))
        with read_only(ours):
            for _ in range(3):
                with pytest.raises(StoreUnavailable) as caught:
                    store.record({}, [reference(2)])
                assert not isinstance(caught.value, StoreDenied), "waiting mends it"
            assert recorded(store) == [1], "it can be read meanwhile"
            with pytest.raises(StoreUnavailable):
                open_store(text(url))
        store.record({}, [reference(2)])
        assert recorded(store) == [1, 2]


def test_connections_to_a_server_that_is_no_primary_any_more_are_thrown_away(server: RealServer) -> None:
    successor = type(server)()
    assert isinstance(successor, Server)
    try:
        successor.start()
        with (
            database_on(server) as (old, url),
            database_on(successor) as (_, new_url),
            closing(open_store(text(new_url))) as on_successor,
            Proxy(old.port) as proxy,
            closing(open_store(text(url.set(port=proxy.port)))) as store,
        ):
            record(store, reference(1))
            record(on_successor, reference(1))
            proxy.target = successor.port
            with standing_by(old):
                while recorded(on_successor) == [1]:  # PostgreSQL tells its sessions in a moment of its own
                    store.record({}, [reference(2)])
            assert recorded(on_successor) == [1, 2]
            assert recorded(store) == [1, 2]
    finally:
        successor.close()


@contextmanager
def standing_by(server: Server) -> Iterator[None]:
    """A time in which no session can write any more, also of those that are there."""
    if isinstance(server, MariaDB):
        with read_only(server):
            yield
        return
    administer(server.url, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        administer(
            server.url,
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )
