"""What is particular to the memory store. The contract as a whole is the conformance suite's to test."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import md5, sha256
from time import perf_counter

import pytest

from kharvest.spi import (
    REMOVED,
    Conflict,
    Content,
    InvalidCursor,
    InvalidStoreURL,
    Metadata,
    Order,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    Timeline,
    UnknownContent,
)
from kharvest_memory.plugin import kharvest_backend
from kharvest_memory.store import MemoryStore


def content_of(data: bytes) -> Content:
    return Content(sha256(data).digest(), md5(data, usedforsecurity=False).digest(), len(data))


def reference(time_ns: int, path: str = "/etc/a", pod: str = "web-0", data: bytes = b"x", **labels: str) -> Reference:
    return Reference(Signature(path, content_of(data).md5), Pod("shop", pod), Metadata(labels), time_ns)


def record(store: Store, *references: Reference, data: bytes = b"x") -> None:
    content = content_of(data)
    store.put(content, [data])
    store.record({one.signature: content for one in references if not one.signature.is_removal}, references)


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    opened = MemoryStore()
    yield opened
    opened.close()


def test_every_open_is_a_new_empty_store() -> None:
    backend = kharvest_backend("memory")
    assert backend is not None
    assert backend.open is not None
    first, second = backend.open("memory:"), backend.open("MEMORY:")
    record(first, reference(1))
    assert second.references(Query()).items == ()
    assert first.capabilities == backend.capabilities == frozenset()


@pytest.mark.parametrize("url", ["memory:x", "memory:///", "memory:?a=b"])
def test_a_memory_url_with_more_behind_it_is_refused(url: str) -> None:
    backend = kharvest_backend("memory")
    assert backend is not None
    assert backend.open is not None
    with pytest.raises(InvalidStoreURL, match="write memory:"):
        backend.open(url)


def test_the_plugin_serves_no_other_scheme_and_loads_no_store() -> None:
    assert kharvest_backend("sqlite") is None
    code = "import sys, kharvest_memory.plugin; sys.exit('kharvest_memory.store' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_references_half_alone_knows_no_contents() -> None:
    backend = kharvest_backend("memory")
    assert backend is not None
    assert backend.open_references is not None
    half = backend.open_references("memory:")
    one = reference(1)
    half.record({one.signature: content_of(b"x")}, [one])
    assert half.references(Query()).items == (one,)


def test_a_put_that_fails_half_way_shows_nothing(store: MemoryStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("sender died")

    with pytest.raises(RuntimeError, match="sender died"):
        store.put(content_of(b"half and half"), broken())
    assert list(store.contents()) == []


def test_a_put_that_waits_for_a_chunk_stops_nobody(store: MemoryStore) -> None:
    waiting, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        yield b"a"
        waiting.set()
        assert go_on.wait(10)
        yield b"b"

    thread = threading.Thread(target=store.put, args=(content_of(b"ab"), slow()))
    thread.start()
    assert waiting.wait(10)
    record(store, reference(1))
    assert content_of(b"ab").sha256 not in store.present([content_of(b"ab").sha256])
    go_on.set()
    thread.join(10)
    assert b"".join(store.read(content_of(b"ab").sha256)) == b"ab"


@pytest.mark.parametrize(("offset", "expected"), [(0, b"abcdef"), (2, b"cdef"), (3, b"def"), (6, b""), (9, b"")])
def test_reading_starts_at_the_offset(store: MemoryStore, offset: int, expected: bytes) -> None:
    store.put(content_of(b"abcdef"), [b"ab", b"", b"cd", b"ef"])
    chunks = list(store.read(content_of(b"abcdef").sha256, offset))
    assert b"".join(chunks) == expected
    assert all(chunks)


def test_listing_contents_goes_on_while_contents_come_and_go(store: MemoryStore) -> None:
    known = sorted((content_of(bytes([number])) for number in range(4)), key=lambda content: content.sha256)
    for content in known[:3]:
        store.put(content, [])
    listing = store.contents()
    assert next(listing) == known[0]
    store.discard([known[1].sha256, b"?" * 32])
    store.put(known[3], [])
    assert list(listing) == known[2:]


def test_a_refused_batch_changes_nothing(store: MemoryStore) -> None:
    good, bad = reference(1), reference(2, path="/etc/b", data=b"y")
    content = content_of(b"x")
    store.put(content, [b"x"])
    with pytest.raises(UnknownContent) as caught:
        store.record({good.signature: content}, [good, bad])
    assert caught.value.signatures == {bad.signature}
    with pytest.raises(UnknownContent) as caught:
        store.record({good.signature: content, bad.signature: content_of(b"y")}, [good, bad])
    assert caught.value.sha256s == {content_of(b"y").sha256}
    assert store.known([good.signature]) == {}
    assert store.references(Query()).items == ()


def test_a_known_signature_with_other_content_is_a_conflict(store: MemoryStore) -> None:
    one = reference(1)
    record(store, one)
    forged = replace(content_of(b"y"), md5=one.signature.md5)
    store.put(forged, [b"y"])
    with pytest.raises(Conflict) as caught:
        store.record({one.signature: forged}, [replace(one, observed_at_ns=2)])
    assert (caught.value.stored, caught.value.offered) == (content_of(b"x"), forged)
    assert store.references(Query()).items == (one,)


def test_the_same_reference_twice_is_one(store: MemoryStore) -> None:
    one = reference(5)
    record(store, one, one)
    record(store, one)
    assert store.references(Query()).items == (one,)


def test_latest_is_what_pods_held_before_until_whatever_the_order_of_arrival(store: MemoryStore) -> None:
    first, second, third = reference(1), reference(2, zone="a"), reference(3)
    record(store, third)
    record(store, first)
    record(store, second)
    assert store.references(Query(latest=True)).items == (third,)
    assert store.references(Query(latest=True, until_ns=3)).items == (second,)
    assert store.references(Query(latest=True, until_ns=3, metadata=Metadata({"zone": "b"}))).items == ()
    assert store.newest([first.timeline, Timeline(Pod("", ""), "/etc/a")]) == {first.timeline: third}


def test_of_equal_times_the_last_in_order_is_the_latest(store: MemoryStore) -> None:
    record(store, reference(1, zone="b"))
    record(store, reference(1, zone="a"))
    last = store.references(Query()).items[-1]
    assert store.references(Query(latest=True)).items == (last,)
    assert store.newest([last.timeline])[last.timeline] == last


@pytest.mark.parametrize("order", Order)
def test_pages_follow_each_other_without_gap_or_repeat(store: MemoryStore, order: Order) -> None:
    record(store, *(reference(time // 3, path=f"/p{time % 5}") for time in range(50)))
    everything = store.references(Query(order=order, limit=100)).items
    query, found = Query(order=order, limit=7), list[Reference]()
    while True:
        page = store.references(query)
        found += page.items
        record(store, reference(1000 + len(found)), reference(0, path=f"/new{len(found)}"))
        if page.next_cursor is None:
            break
        query = replace(query, cursor=page.next_cursor)
    assert [one for one in found if one in everything] == list(everything)


def test_a_cursor_of_another_kind_of_page_is_refused(store: MemoryStore) -> None:
    record(store, *(reference(time, path=f"/{time}") for time in range(3)))
    of_references = store.references(Query(limit=1)).next_cursor
    of_files = store.files(Query(limit=1)).next_cursor
    with pytest.raises(InvalidCursor):
        store.files(Query(limit=1, cursor=of_references))
    with pytest.raises(InvalidCursor):
        store.references(Query(limit=1, cursor=of_files))


def test_files_are_counted_by_pod_and_paged_by_path_and_md5(store: MemoryStore) -> None:
    record(store, *(reference(10 * pod + time, f"/p{time}", f"web-{pod}") for pod in range(3) for time in range(4)))
    record(store, replace(reference(99, "/p0"), signature=Signature("/p0", REMOVED)))
    first = store.files(Query(limit=3))
    rest = store.files(Query(limit=3, cursor=first.next_cursor))
    assert [one.signature.path for one in (*first.items, *rest.items)] == ["/p0", "/p1", "/p2", "/p3"]
    assert {one.pods for one in first.items} == {3}
    assert (first.items[1].first_seen_ns, first.items[1].last_seen_ns) == (1, 21)
    assert rest.next_cursor is None
    assert store.files(Query(latest=True, path="/p0")).items[0].pods == 2
    assert [one.signature.path for one in store.files(Query(path_prefix="/p3")).items] == ["/p3"]


def test_forgetting_takes_the_first_of_the_order_and_makes_unnamed_files_unknown(store: MemoryStore) -> None:
    record(store, reference(1), reference(2), reference(3, path="/etc/b"))
    assert store.forget(Query(limit=1, order=Order.NEWEST_FIRST)) == 1
    assert store.known([Signature("/etc/b", content_of(b"x").md5)]) == {}
    assert store.forget(Query(path="/etc/a")) == 2
    assert store.forget(Query()) == 0
    assert store.files(Query()).items == ()


def test_one_of_many_claimers_wins(store: MemoryStore) -> None:
    winners: list[str] = []
    start = threading.Barrier(8)

    def take(holder: str) -> None:
        start.wait(10)
        if store.claim([b"key"], holder, 0, 10):
            winners.append(holder)

    threads = [threading.Thread(target=take, args=(f"holder-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(winners) == 1


def test_a_claim_ends_at_its_time_or_when_its_holder_releases_it(store: MemoryStore) -> None:
    assert store.claim([b"a", b"b"], "one", 0, 10) == {b"a", b"b"}
    assert store.claim([b"a", b"c"], "two", 9, 20) == {b"c"}
    assert store.claim([b"a"], "one", 9, 30) == {b"a"}
    assert store.claim([b"b"], "two", 10, 20) == {b"b"}
    store.release([b"a", b"b"], "one")
    assert store.claim([b"a", b"b"], "three", 11, 20) == {b"a"}


def seconds_for(action: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(5):
        start = perf_counter()
        action()
        best = min(best, perf_counter() - start)
    return best


def test_a_page_costs_the_same_however_long_the_history(store: MemoryStore) -> None:
    content = content_of(b"x")
    store.put(content, [b"x"])
    costs = []
    for size in (1_000, 50_000):
        batch = [reference(time, f"/p{time % 50}", f"web-{time % 20}", app="web") for time in range(size)]
        store.record({one.signature: content for one in batch}, batch)
        middle = Query(path="/p7", since_ns=size // 2, limit=10)
        costs.append(seconds_for(lambda asked=middle: store.references(asked)))  # type: ignore[misc]
    assert costs[1] < 5 * costs[0] + 0.001
