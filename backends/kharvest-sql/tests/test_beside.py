"""Places beside a store's: new, empty, and gone at the end."""

from __future__ import annotations

import secrets
from contextlib import closing
from pathlib import Path

import pytest
from harness.real import RealServers
from harness.real.databases import administer
from harness.stores import record, reference
from sqlalchemy import make_url

from kharvest.registry import open_store, places_beside
from kharvest.spi import Query, StoreDenied, StoreError


def test_a_place_beside_is_empty_and_is_gone_at_the_end(url: str, tmp_path: Path) -> None:
    with closing(open_store(url)) as store:
        record(store, reference(1, "/here"))
    before = sorted(tmp_path.iterdir())
    beside = places_beside(url)
    assert beside is not None
    with beside("suite_1") as (other, contents):
        assert contents is None
        assert other != url
        with closing(open_store(other)) as store:
            assert store.references(Query()).items == ()
            record(store, reference(1, "/there"))
    assert sorted(tmp_path.iterdir()) == before
    with closing(open_store(url)) as store:
        assert [one.signature.path for one in store.references(Query()).items] == ["/here"]
    if not url.startswith("sqlite"):
        with pytest.raises(StoreDenied):
            open_store(other)


def test_both_halves_get_places_beside_them(tmp_path: Path) -> None:
    beside = places_beside(f"sqlite:///{tmp_path}/references.db", f"sqlite:///{tmp_path}/contents.db")
    assert beside is not None
    with beside("suite_1") as urls, closing(open_store(*urls)):
        assert len({*urls}) == 2
        assert list(tmp_path.glob("*references.db*"))
        assert list(tmp_path.glob("*contents.db*"))
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_already_is_never_taken_for_a_new_place(file: Path) -> None:
    theirs = file.with_name(f"suite_1r-{file.name}")
    theirs.write_text("theirs")
    beside = places_beside(f"sqlite:///{file}")
    assert beside is not None
    with pytest.raises(StoreError, match="is there already"), beside("suite_1"):
        pass
    assert theirs.read_text() == "theirs"


def test_a_user_who_may_not_make_databases_is_told_so(real_servers: RealServers) -> None:
    role = f"ordinary_{secrets.token_hex(4)}"
    with real_servers.get("postgresql").place() as url:
        administer(make_url(url), f"CREATE ROLE {role} LOGIN PASSWORD 'guess-me-1234'")
        try:
            own = make_url(url).set(username=role, password="guess-me-1234").render_as_string(hide_password=False)
            beside = places_beside(own)
            assert beside is not None
            with pytest.raises(StoreDenied, match="the right to create and drop databases"), beside("suite_1"):
                pass
        finally:
            administer(make_url(url), f"DROP ROLE {role}")
