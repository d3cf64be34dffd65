"""What the conformance suite cannot see of a store in a database: its tables, statements, and inner limits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import product
from random import Random

import pytest
from harness.queries import check_history, check_queries, check_strings
from harness.statements import statements_executed
from harness.stores import all_references, check_put_that_fails, content_of, record, reference, removal

from kharvest.spi import (
    Capability,
    Metadata,
    Order,
    Query,
    Signature,
)
from kharvest_conformance._model import matching
from kharvest_sql._bodies import CHUNK_BYTES
from kharvest_sql._store import SqlStore, open_store


def test_it_declares_what_it_guarantees(store: SqlStore) -> None:
    assert store.capabilities == {Capability.DURABLE, Capability.SHARED}


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * 2**20])
def test_bytes_come_back_from_any_offset(store: SqlStore, size: int) -> None:
    data = Random(size).randbytes(size)
    store.put(content_of(data), (data[start : start + 300_000] for start in range(0, size, 300_000)))
    for offset in {0, 1, size // 2, max(0, size - 1), size, size + 1}:
        chunks = list(store.read(content_of(data).sha256, offset))
        assert b"".join(chunks) == data[offset:]
        assert all(0 < len(chunk) <= 2**20 for chunk in chunks)
    assert store.present([content_of(data).sha256, b"?" * 32]) == {content_of(data).sha256: content_of(data)}


def test_one_chunk_of_many_megabytes_is_cut(store: SqlStore) -> None:
    data = Random(1).randbytes(20 * 2**20)
    store.put(content_of(data), [data])
    assert b"".join(store.read(content_of(data).sha256)) == data


@pytest.mark.parametrize("sent", [b"half", b"half" * 2_000_000])
def test_a_put_that_fails_shows_nothing_and_leaves_nothing(store: SqlStore, sent: bytes) -> None:
    check_put_that_fails(store, sent)
    with store._contents_database.read() as session:
        assert session.all("SELECT body_id FROM kharvest_chunk") == []
        assert session.all("SELECT id FROM kharvest_unpublished") == []


def test_a_put_that_waits_for_a_chunk_stops_nobody(store: SqlStore) -> None:
    waiting, go_on = threading.Event(), threading.Event()
    data = bytes(9 * 2**20)

    def slow() -> Iterator[bytes]:
        yield data[: 8 * 2**20]
        waiting.set()
        assert go_on.wait(20)
        yield data[8 * 2**20 :]

    thread = threading.Thread(target=store.put, args=(content_of(data), slow()))
    thread.start()
    assert waiting.wait(20)
    record(store, reference(1))
    assert content_of(data).sha256 not in store.present([content_of(data).sha256])
    go_on.set()
    thread.join(20)
    assert content_of(data).sha256 in store.present([content_of(data).sha256])


@pytest.mark.parametrize("size", [100, 9 * 2**20])
def test_the_same_content_from_many_threads_at_once_is_stored_once(store: SqlStore, size: int) -> None:
    data = Random(size).randbytes(size)
    start = threading.Barrier(4)
    failures: list[Exception] = []

    def chunks() -> Iterator[bytes]:
        start.wait(20)
        yield data

    def put() -> None:
        try:
            store.put(content_of(data), chunks())
        except Exception as error:  # noqa: BLE001  asserted on below
            failures.append(error)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert b"".join(store.read(content_of(data).sha256)) == data
    with store._contents_database.read() as session:
        assert session.first("SELECT SUM(LENGTH(data)) FROM kharvest_chunk")[0] == size
        assert session.all("SELECT id FROM kharvest_unpublished") == []


@pytest.mark.parametrize("handles", [1, 2])
def test_small_contents_that_are_put_together_share_transactions(store: SqlStore, url: str, handles: int) -> None:
    contents = [b"%d" % number for number in range(600)] + [b""]
    with ExitStack() as opened:
        stores = [store, *(opened.enter_context(closing(open_store(url))) for _ in range(handles - 1))]
        with statements_executed() as statements:
            with ThreadPoolExecutor(16 * handles) as threads:  # each content twice at once where there are two handles
                puts = [threads.submit(one.put, content_of(data), [data]) for data in contents for one in stores]
            for put in puts:
                put.result()
    assert len(list(store.contents())) == len(contents)
    for data in contents:
        assert b"".join(store.read(content_of(data).sha256)) == data
    assert len(statements) < 3 * len(contents) * handles  # alone, each takes seven or more
    with store._contents_database.read() as session:
        assert session.first("SELECT COUNT(*) FROM kharvest_chunk")[0] == 600
        assert session.all("SELECT id FROM kharvest_unpublished") == []
        numbers = [row[0] for row in session.all("SELECT body_id FROM kharvest_content")]
    assert len(set(numbers)) == len(numbers)


def test_numbers_of_small_contents_are_never_given_out_twice(
    store: SqlStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kharvest_sql._small._RANGE", 3)
    expected = {b"%d" % number for number in range(20)}
    with closing(open_store(url)) as other:
        for number in range(0, 20, 2):
            store.put(content_of(b"%d" % number), [b"%d" % number])
            other.put(content_of(b"%d" % (number + 1)), [b"%d" % (number + 1)])
    with closing(open_store(url)) as reopened:
        assert {b"".join(reopened.read(content.sha256)) for content in reopened.contents()} == expected
        data = bytes(9 * 2**20)
        reopened.put(content_of(data), [data])
        reopened.discard([content.sha256 for content in reopened.contents()])
        assert list(reopened.contents()) == []
        with reopened._contents_database.read() as session:
            assert session.first("SELECT COUNT(*) FROM kharvest_chunk")[0] == 0
            assert session.all("SELECT id FROM kharvest_unpublished") == []


def test_a_file_that_no_reference_names_is_not_known(store: SqlStore) -> None:
    store.put(content_of(b"x"), [b"x"])
    store.record({Signature("/unnamed", content_of(b"x").md5): content_of(b"x")}, [])
    assert store.known([Signature("/unnamed", content_of(b"x").md5)]) == {}
    record(store, removal(1))
    assert store.known([removal(1).signature]) == {}


def test_strings_are_exact_and_ordered_by_code_point(store: SqlStore) -> None:
    check_strings(store)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("walked", [(2_000, 20_000), (1, 2)])
def test_every_query_gives_what_the_contract_says(
    store: SqlStore, url: str, seed: int, walked: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kharvest_sql._pages.WALKED", walked)
    for most in ("MOST_WAYS", "MOST_WALKED"):
        monkeypatch.setattr(f"kharvest_sql._filters.{most}", 1 if seed % 2 else 128)
    monkeypatch.setattr("kharvest_sql._filters._MOST_CHECKED", 1 if seed % 4 == 1 else 10_000)
    with closing(open_store(url)) as other:  # what one handle remembers must stay true when the other one forgets
        check_history(store, other, Random(seed))
    with store._references_database.read() as session:
        for table in ("newest", "reference", "signature", "path", "pod", "metadata", "metadata_pair"):
            assert session.all(f"SELECT * FROM kharvest_{table}") == [], table


@pytest.mark.slow
@pytest.mark.parametrize("most_walked", [128, 3])
def test_what_many_pods_have_comes_in_order_whole_and_once(
    store: SqlStore, most_walked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kharvest_sql._filters.MOST_WALKED", most_walked)
    monkeypatch.setattr("kharvest_sql._pages.WALKED", (5, 50))
    random = Random(most_walked)
    some = [
        reference(random.randrange(100), f"/{n % 7}", f"web-{n % 40}", n=str(n % 40), app="web") for n in range(300)
    ]
    chatty = [reference(40 + n % 20, f"/{n}", "web-7", n="7", app="web") for n in range(120)]
    others = [
        reference(random.randrange(100), f"/{n % 7}", f"db-{n % 40}", n=str(n % 40), app="db") for n in range(300)
    ]
    record(store, *some, *chatty, *others)
    listing = all_references(store, Query())
    questions: list[dict[str, object]] = [
        {"metadata": Metadata({"app": "web"})},
        {"metadata": Metadata({"app": "web", "n": "7"})},
        {"metadata": Metadata({"app": "web"}), "since_ns": 30, "until_ns": 55},
        {"metadata": Metadata({"app": "db"}), "path": "/3"},
        {"namespace": "shop"},
        {"path_prefix": "/1"},
    ]
    for asked in questions:
        for order, latest, limit in product(Order, (False, True), (9, 50, 1000)):
            query = Query(**asked, order=order, latest=latest, limit=limit)  # type: ignore[arg-type]
            assert all_references(store, query) == matching(listing, query), query


def test_what_one_handle_remembers_ends_when_another_forgets(store: SqlStore, url: str) -> None:
    one = reference(1, app="web")
    record(store, one)
    assert store.newest([one.timeline]) == {one.timeline: one}
    other = open_store(url)
    assert other.forget(Query()) == 1
    assert store.known([one.signature]) == {}
    later = replace(one, observed_at_ns=2)
    record(other, later)  # the same pod, path, signature and metadata, with new numbers
    assert store.newest([one.timeline]) == {one.timeline: later}
    assert store.known([one.signature]) == {one.signature: content_of(b"x")}
    last = replace(one, observed_at_ns=3)
    record(store, last)
    assert store.references(Query()).items == other.references(Query()).items == (later, last)
    assert other.references(Query(latest=True, metadata=one.metadata)).items == (last,)
    other.close()


def test_two_writers_at_once_keep_one_history(store: SqlStore, url: str) -> None:
    other = open_store(url)
    record(store, reference(0))
    failures: list[Exception] = []

    def write(through: SqlStore, offset: int) -> None:
        try:
            for step in range(15):
                times = range(step * 20 + offset, step * 20 + 20, 2)
                batch = [reference(time, f"/p{time % 3}", f"web-{time % 4}", w=str(time % 5)) for time in times]
                through.record({one.signature: content_of(b"x") for one in batch}, batch)
        except Exception as error:  # noqa: BLE001  asserted on below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(one, n)) for n, one in enumerate((store, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(all_references(store, Query())) == 301
    check_queries(store, Random(0), 0)
    listing = all_references(store, Query())
    for until in (7, 100, 250):
        query = Query(latest=True, until_ns=until)
        assert all_references(store, query) == matching(listing, query)
    other.close()
