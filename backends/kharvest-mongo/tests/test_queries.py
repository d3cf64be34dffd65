"""Every query gives what the contract says, also of timelines that grow in the middle and lose what is in them."""

from __future__ import annotations

from contextlib import closing
from random import Random

import pytest
from harness.queries import check_history, check_strings
from harness.stores import record, reference

from kharvest.spi import InvalidCursor, Query
from kharvest_mongo._store import MongoStore, open_store


def test_strings_are_exact_and_ordered_by_code_point(store: MongoStore) -> None:
    check_strings(store)


def test_cursors_of_the_other_kind_are_refused(store: MongoStore) -> None:
    record(store, *(reference(time, path=f"/{time}") for time in range(3)))
    with pytest.raises(InvalidCursor):
        store.files(Query(limit=1, cursor=store.references(Query(limit=1)).next_cursor))
    with pytest.raises(InvalidCursor):
        store.references(Query(limit=1, cursor=store.files(Query(limit=1)).next_cursor))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("narrow", [False, True], ids=["one window", "many windows"])
def test_every_query_gives_what_the_contract_says(
    store: MongoStore, url: str, seed: int, narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if narrow:
        monkeypatch.setattr("kharvest_mongo._pages._FIRST_WINDOW_PAGES", 0)
        monkeypatch.setattr("kharvest_mongo._pages._GROWTH", 2)
        monkeypatch.setattr("kharvest_mongo._pages._LOOKED_AT", 3)
        monkeypatch.setattr("kharvest_mongo._summaries._FILES_OF_PODS_AT_ONCE", 2)
    # Keys are taken away, and what was removed is purged, as soon as that may be.
    monkeypatch.setattr("kharvest_mongo._batches.SLACK", 1)
    monkeypatch.setattr("kharvest_mongo._batches.REMOVAL_SLACK", 1)
    with closing(open_store(url)) as other:
        check_history(store, other, Random(seed))
