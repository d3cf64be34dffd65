"""What is wrong with a server's store is told when it is opened, with what to do; nothing is overwritten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from harness.real import RealServer
from harness.real.databases import administer
from sqlalchemy import URL, create_engine, inspect, make_url

from kharvest.spi import IncompatibleSchema, InvalidStoreURL, KharvestError, Query, StoreDenied
from kharvest_sql._schema import CHUNK, CONTENT, POD, STORE, TABLES
from kharvest_sql._store import open_references, open_store

PASSWORD, WRONG_PASSWORD = "correct-horse", "wrong-battery"
OPENINGS = (open_store, open_references)
Opening = Callable[[str], Any]
Tables = dict[str, tuple[list[str], list[tuple[Any, ...]]]]


def text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def tables_of(url: str) -> Tables:
    """All tables of a database, their columns and rows."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            inspector = inspect(connection)
            return {
                name: (
                    [column["name"] for column in inspector.get_columns(name)],
                    sorted(tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}")),
                )
                for name in inspector.get_table_names()
            }
    finally:
        engine.dispose()


def refused(opening: Opening, url: str, error: type[KharvestError], match: str) -> None:
    """It raises so, and neither that error nor what led to it tells a password."""
    with pytest.raises(error, match=match) as caught:
        opening(url)
    one: BaseException | None = caught.value
    while one is not None:
        assert PASSWORD not in str(one)
        assert WRONG_PASSWORD not in str(one)
        one = one.__cause__ or one.__context__


@contextmanager
def place_and_user(server: Any) -> Iterator[tuple[str, URL]]:
    """A place, and a user who has no rights on it."""
    with server.user(password=PASSWORD) as user, server.place() as place:
        yield place, user.set(database=make_url(place).database)


def grant_reading(place: str, user: URL) -> None:
    if user.get_backend_name() == "postgresql":
        administer(make_url(place), f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user.username}")
    else:
        administer(make_url(place), f"GRANT SELECT ON {user.database}.* TO {user.username}")


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_wrong_password_is_told_with_what_to_do(server: RealServer, opening: Opening) -> None:
    with place_and_user(server) as (place, user):
        wrong = text(user.set(password=WRONG_PASSWORD))
        refused(opening, wrong, StoreDenied, "; correct .*password.* in the store's URL")
        assert tables_of(place) == {}


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_missing_database_is_told_with_what_to_do(server: RealServer, opening: Opening) -> None:
    with server.place() as place:
        missing = text(make_url(place).set(database="kharvest_nowhere"))
        refused(opening, missing, StoreDenied, "kharvest_nowhere.*; .*correct .* in the store's URL")


@pytest.mark.parametrize("opening", OPENINGS)
def test_an_unknown_user_is_told_with_what_to_do(server: RealServer, opening: Opening) -> None:
    with place_and_user(server) as (_place, user):
        unknown = text(user.set(username="needs_password_nobody", password=WRONG_PASSWORD))
        refused(opening, unknown, StoreDenied, "; .*correct .*user.* in the store's URL")


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_user_who_may_not_create_tables_is_told_what_to_grant(server: RealServer, opening: Opening) -> None:
    with place_and_user(server) as (place, user):
        grant_reading(place, user)
        refused(opening, text(user), StoreDenied, "give this user the right")
        assert tables_of(place) == {}


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_user_who_may_only_read_a_store_is_told_what_to_grant(server: RealServer, opening: Opening) -> None:
    with place_and_user(server) as (place, user):
        open_store(place).close()
        before = tables_of(place)
        grant_reading(place, user)
        refused(opening, text(user), StoreDenied, "give this user the right")
        assert tables_of(place) == before


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("version", [0, 99])
def test_a_store_of_another_version_is_refused_and_left_as_it_is(
    server_url: str, opening: Opening, version: int
) -> None:
    open_store(server_url).close()
    administer(make_url(server_url), f"UPDATE kharvest_store SET schema_version = {version}")
    before = tables_of(server_url)
    remedy = "upgrade the backend" if version else "open it with the version"
    refused(opening, server_url, IncompatibleSchema, f"version {version}.*; {remedy}")
    assert tables_of(server_url) == before


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("kharvest_store", "id BIGINT, name BIGINT"),
        ("kharvest_store", "id BIGINT, schema_version_of_theirs BIGINT"),
        ("kharvest_reference", "id BIGINT, author BIGINT"),
        ("kharvest_metadata_pair", "digest BIGINT, metadata_id BIGINT"),
    ],
)
def test_a_table_of_another_program_is_refused_and_left_as_it_is(
    url: str, opening: Opening, table: str, columns: str
) -> None:
    administer(make_url(url), f"CREATE TABLE {table} ({columns})", f"INSERT INTO {table} VALUES (1, 2)")
    before = tables_of(url)
    refused(opening, url, InvalidStoreURL, "another program; name another")
    assert tables_of(url) == before


def test_a_later_version_with_other_columns_is_refused_as_such(url: str) -> None:
    statements = ("CREATE TABLE kharvest_store (schema_version BIGINT)", "INSERT INTO kharvest_store VALUES (99)")
    administer(make_url(url), *statements)
    refused(open_store, url, IncompatibleSchema, "version 99.*; upgrade the backend's package")


def test_a_creation_that_was_interrupted_is_completed(server_url: str) -> None:
    engine = create_engine(server_url)
    TABLES.create_all(engine, tables=[CHUNK, CONTENT, POD, STORE])
    engine.dispose()
    with closing(open_store(server_url)) as store:
        assert store.references(Query()).items == ()
        assert store.present([b"?" * 32]) == {}
