"""Contents: whole or not at all, nothing left behind, and nothing taken from live uploads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from random import Random

import pytest
from harness.stores import check_put_that_fails, content_of, record, reference

from kharvest.spi import StoreUnavailable, UnknownContent
from kharvest_mongo._bodies import CHUNK_BYTES
from kharvest_mongo._contents import SMALL_BYTES
from kharvest_mongo._schema import CHUNKS, CONTENTS
from kharvest_mongo._store import MongoStore, open_store

SIZES = [0, 1, SMALL_BYTES, SMALL_BYTES + 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * 2**20]
LARGE = Random(7).randbytes(9 * 2**20)


def stored(store: MongoStore) -> tuple[int, int]:
    """How many documents there are of contents, and of chunks."""
    return (
        store._contents_server.collection(CONTENTS).count_documents({}),
        store._contents_server.collection(CHUNKS).count_documents({}),
    )


@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back_from_any_offset(store: MongoStore, size: int) -> None:
    data = Random(size).randbytes(size)
    store.put(content_of(data), (data[start : start + 300_000] for start in range(0, size, 300_000)))
    for offset in {0, 1, size // 2, CHUNK_BYTES, max(0, size - 1), size, size + 1}:
        chunks = list(store.read(content_of(data).sha256, offset))
        assert b"".join(chunks) == data[offset:]
        assert all(0 < len(chunk) <= 2**20 for chunk in chunks)
    assert store.present([content_of(data).sha256, b"?" * 32]) == {content_of(data).sha256: content_of(data)}


@pytest.mark.parametrize("sent", [b"half", LARGE])
def test_a_put_that_fails_shows_nothing_and_leaves_nothing(store: MongoStore, sent: bytes) -> None:
    check_put_that_fails(store, sent)
    assert stored(store) == (0, 0)


@pytest.mark.parametrize("data", [b"small", LARGE])
def test_the_same_content_from_many_threads_at_once_is_stored_once(store: MongoStore, data: bytes) -> None:
    start = threading.Barrier(4)

    def chunks() -> Iterator[bytes]:
        start.wait(20)
        yield data

    with ThreadPoolExecutor(4) as threads:
        for putting in [threads.submit(store.put, content_of(data), chunks()) for _ in range(4)]:
            putting.result(60)
    assert b"".join(store.read(content_of(data).sha256)) == data
    assert stored(store) == (1, -(-len(data) // CHUNK_BYTES) if len(data) > SMALL_BYTES else 0)


def test_contents_are_listed_in_order_and_discarded(store: MongoStore) -> None:
    datas = [*(bytes([number]) for number in range(5)), LARGE]
    known = sorted(map(content_of, datas), key=lambda content: content.sha256)
    for data in datas:
        store.put(content_of(data), [data])
    assert list(store.contents()) == known
    assert list(store.contents(after=known[2].sha256)) == known[3:]
    store.discard([known[0].sha256, content_of(LARGE).sha256, b"?" * 32])
    store.discard([])
    left = [content for content in known[1:] if content != content_of(LARGE)]
    assert list(store.contents()) == left
    assert stored(store) == (len(left), 0)


def test_a_reader_of_what_is_discarded_meanwhile_is_told(store: MongoStore) -> None:
    store.put(content_of(LARGE), [LARGE])
    reading = store.read(content_of(LARGE).sha256)
    next(reading)
    store.discard([content_of(LARGE).sha256])
    with pytest.raises(UnknownContent):
        list(reading)


def test_discarding_and_putting_at_once_never_ends_in_a_content_without_bytes(store: MongoStore, url: str) -> None:
    content = content_of(LARGE)

    def put() -> None:
        for _ in range(6):
            store.put(content, [LARGE])

    def discard() -> None:
        with closing(open_store(url)) as own:
            for _ in range(12):
                own.discard([content.sha256])

    with ThreadPoolExecutor(2) as threads:
        for work in [threads.submit(put), threads.submit(discard)]:
            work.result(120)
    try:
        assert b"".join(store.read(content.sha256)) == LARGE
    except UnknownContent:
        assert stored(store) == (0, 0)


def test_an_upload_taken_for_dead_fails_and_never_shows_holes(
    store: MongoStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(LARGE)

    def overslept() -> Iterator[bytes]:
        yield LARGE[: 6 * 2**20]
        with monkeypatch.context() as patch:
            patch.setattr("kharvest_mongo._contents.IDLE", timedelta(0))
            open_store(url).close()  # another replica starts, and takes the upload for a leftover
        yield LARGE[6 * 2**20 :]

    with pytest.raises(StoreUnavailable, match="send it again"):
        store.put(content, overslept())
    assert store.present([content.sha256]) == {}
    assert stored(store) == (0, 0)
    store.put(content, [LARGE])
    assert b"".join(store.read(content.sha256)) == LARGE


def test_a_content_that_is_put_after_a_discard_that_died_stays(
    store: MongoStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = content_of(b"one"), content_of(b"other")
    store.put(one, [b"one"])
    store.put(other, [b"other"])

    def die(_ids: object) -> None:
        raise StoreUnavailable("it died", "start it again")

    with closing(open_store(url)) as dying:
        monkeypatch.setattr(dying, "_remove", die)
        with pytest.raises(StoreUnavailable):
            dying.discard([one.sha256, other.sha256])
    store.put(one, [b"one"])
    with closing(open_store(url)) as later:  # which removes what the dead one has left
        assert later.present([one.sha256, other.sha256]) == {one.sha256: one}
        assert b"".join(later.read(one.sha256)) == b"one"


def test_leftovers_are_removed_and_live_uploads_are_not(
    store: MongoStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def live() -> Iterator[bytes]:
        yield LARGE[: 5 * 2**20]
        open_store(url).close()
        yield LARGE[5 * 2**20 :]

    store.put(content_of(LARGE), live())
    assert b"".join(store.read(content_of(LARGE).sha256)) == LARGE
    record(store, reference(1))

    # What a killed process leaves: an upload that moves no more, and chunks that arrived when it was condemned already.
    monkeypatch.setattr(store, "_abandon", lambda _body: None)

    def dies() -> Iterator[bytes]:
        yield LARGE[: 5 * 2**20]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.put(content_of(b"other"), dies())
    monkeypatch.setattr("kharvest_mongo._contents.IDLE", timedelta(0))
    for _ in range(2):
        open_store(url).close()
    assert stored(store) == (2, -(-len(LARGE) // CHUNK_BYTES))
    assert b"".join(store.read(content_of(LARGE).sha256)) == LARGE
