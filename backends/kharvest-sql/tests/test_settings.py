"""What a server's operator has set changes nothing of what a store keeps, or the store says what to set instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import pytest
from harness.real import RealServers
from harness.real.databases import administer
from harness.real.mariadb import MariaDB
from harness.stores import all_references, content_of
from sqlalchemy import create_engine, make_url

from kharvest.spi import (
    MAX_METADATA_KEY_BYTES,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_BYTES,
    Metadata,
    Pod,
    Query,
    Reference,
    Signature,
    StoreDenied,
)
from kharvest_sql._store import SqlStore, open_store

WORST = b"'\"\\\0\n\x1a%?"
"""What is escaped in a statement, or means something in one."""
BIG = WORST * (3 * 2**20 // len(WORST))
QUOTED = "'\"\\\x01\n\x1a%?"

MYSQL_MODES = {
    "sql_mode": "'ANSI,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE,TRADITIONAL'",
    "default_storage_engine": "MyISAM",
    "completion_type": "CHAIN",
    "sql_safe_updates": "1",
    "sql_select_limit": "1",
    "autocommit": "0",
    "max_sort_length": "64",
    "tx_isolation": "'SERIALIZABLE'",
}
MYSQL_LIMITS = {
    "max_allowed_packet": str(2**20),
    "wait_timeout": "1",
    "max_statement_time": "0.1",
    "group_concat_max_len": "4",
    "tmp_table_size": "1024",
}
POSTGRESQL_SETTINGS = {
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "timezone": "'Asia/Kolkata'",
    "datestyle": "'German'",
    "default_transaction_isolation": "'serializable'",
    "array_nulls": "off",
    "statement_timeout": "'100ms'",
    "lock_timeout": "'1ms'",
    "idle_in_transaction_session_timeout": "'100ms'",
}


@contextmanager
def globally(server: MariaDB, settings: Mapping[str, str]) -> Iterator[None]:
    """A time in which new sessions of the server begin with these settings."""
    engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            columns = ", ".join(f"@@global.{name}" for name in settings)
            before = connection.exec_driver_sql(f"SELECT {columns}").one()
            try:
                for name, value in settings.items():
                    connection.exec_driver_sql(f"SET GLOBAL {name} = {value}")
                yield
            finally:
                for name, value in zip(settings, before, strict=True):
                    connection.exec_driver_sql(f"SET GLOBAL {name} = %s", (value,))
    finally:
        engine.dispose()


@pytest.fixture
def mariadb(real_servers: RealServers) -> MariaDB:
    server = real_servers.get("mariadb")
    assert isinstance(server, MariaDB)
    return server


def check_what_is_kept(store: SqlStore) -> None:
    """The largest and the most quoted values, larger contents and batches than one statement holds."""
    values = {
        f"{number:03}{QUOTED}".ljust(MAX_METADATA_KEY_BYTES, "'"): QUOTED.ljust(MAX_METADATA_VALUE_BYTES, "\\")
        for number in range(MAX_METADATA_PAIRS)
    }
    paths = [f"/{QUOTED}".ljust(1100, "/") + end for end in ("a", "b")]
    content = content_of(BIG)
    store.put(content, [BIG])
    store.put(content_of(WORST), [WORST])
    assert b"".join(store.read(content.sha256)) == BIG
    assert b"".join(store.read(content_of(WORST).sha256)) == WORST
    pod = Pod("shop", QUOTED)
    batch = [Reference(Signature(path, content.md5), pod, Metadata(values), 1) for path in paths]
    many = [Reference(Signature("/many", content.md5), pod, Metadata({}), 10**18 + i) for i in range(1500)]
    store.record({one.signature: content for one in (*batch, many[0])}, [*batch, *many])
    assert {*all_references(store, Query(path_prefix=paths[0][:1000]))} == {*batch}
    assert [one.signature.path for one in store.files(Query(path_prefix=paths[0][:1000])).items] == paths
    assert len(store.references(Query(path="/many", limit=10_000)).items) == len(many)
    assert store.claim([WORST], QUOTED, 0, 10) == {WORST}
    assert store.claim([WORST], "other", 5, 10) == set()
    assert store.forget(Query(path="/many", limit=1200)) == 1200


def test_a_store_keeps_everything_whatever_mode_its_mariadb_is_in(mariadb: MariaDB) -> None:
    with mariadb.place() as place, globally(mariadb, MYSQL_MODES), closing(open_store(place)) as store:
        check_what_is_kept(store)
        assert "InnoDB" in {row[0] for row in engines(place)}
        assert len(engines(place)) == 1


def engines(place: str) -> set[tuple[str]]:
    engine = create_engine(place)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SET SESSION sql_select_limit = DEFAULT")
            sql = "SELECT DISTINCT engine FROM information_schema.tables WHERE table_schema = DATABASE()"
            return {(row[0],) for row in connection.exec_driver_sql(sql)}
    finally:
        engine.dispose()


def test_a_store_keeps_everything_within_the_least_limits_of_its_mariadb(mariadb: MariaDB) -> None:
    with mariadb.place() as place, globally(mariadb, MYSQL_LIMITS), closing(open_store(place)) as store:
        check_what_is_kept(store)


def test_a_mariadb_with_too_low_a_limit_is_refused_with_what_to_set(mariadb: MariaDB) -> None:
    with (
        mariadb.place() as place,
        globally(mariadb, {"max_allowed_packet": str(2**19)}),
        pytest.raises(StoreDenied, match="set max_allowed_packet=1048576 "),
    ):
        open_store(place)


def test_a_store_keeps_everything_whatever_its_postgresql_database_is_set_to(real_servers: RealServers) -> None:
    with real_servers.get("postgresql").place() as place:
        name = make_url(place).database
        settings = {**POSTGRESQL_SETTINGS, "synchronous_commit": "off"}.items()
        administer(make_url(place), *(f"ALTER DATABASE {name} SET {setting} = {value}" for setting, value in settings))
        with closing(open_store(place)) as store:
            check_what_is_kept(store)
            with store._references_database.read() as session:
                assert session.first("SHOW synchronous_commit")[0] == "on", "it says that it is durable"
                assert session.first("SHOW statement_timeout")[0] != "100ms"


def test_what_the_url_sets_is_not_set_again(server_url: str) -> None:
    if server_url.startswith("postgresql"):
        options, asked = "options=-cstatement_timeout%3D7777ms", "SHOW statement_timeout"
    else:
        options, asked = "init_command=SET+SESSION+lock_wait_timeout%3D7777", "SELECT @@lock_wait_timeout"
    with closing(open_store(f"{server_url}?{options}")) as store, store._references_database.read() as session:
        assert str(session.first(asked)[0]).removesuffix("ms") == "7777"
