"""`put`: contents go in whole or not at all."""

from __future__ import annotations

import contextlib
import threading
from collections import deque

import pytest

from kharvest.spi import Capability, ContentMismatch, Query, Store, StoreFull, UnknownContent
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._place import Place
from kharvest_conformance._samples import BLOCK, ChunksOnce, FailingChunks, File, Sample, SourceFailed, WatchedChunks
from kharvest_conformance._tasks import Weigh
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import THREAD_SECONDS, at_once, has_data, listing, put, use, wait_for
from kharvest_conformance.suite._weights import height_of

SIZES = (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17, 255 * 1024, 2**20 - 1, 2**20, 2**20 + 1)
"""Around what stores cut contents into: 64 KiB, GridFS's 255 KiB, 1 MiB."""

LARGE = Sample(64 * 2**20, 7)
FAIR = Sample(20 * 2**20 + 17, 8)
WEIGHT_LIMIT = LARGE.size // 2


class PuttingTests(Base):
    """Of `ContentStore.put`."""

    @clause("ContentStore.put", "Store the bytes of `content`.")
    def test_bytes_come_back_as_they_went_in(self, store: Store) -> None:
        for size in SIZES:
            file = File("/", Sample(size))
            put(store, file)
            assert store.present([file.content.sha256]) == {file.content.sha256: file.content}
            assert has_data(store, file), f"{size} bytes"

    @clause("ContentStore.put", "Store the bytes of `content`.")
    def test_how_the_bytes_are_cut_into_chunks_does_not_matter(self, store: Store) -> None:
        for length in (1, 7, 1000, BLOCK + 1):
            file = File("/", Sample(2 * BLOCK + 5 if length > 1 else 300, length))
            store.put(file.content, file.sample.chunks(length))
            assert has_data(store, file), f"put in chunks of {length}"

    @clause("ContentStore.put", "when `chunks` raises, whatever it raises, that error itself is passed on and")
    @pytest.mark.parametrize("chunks", [0, 1, 3])
    def test_a_put_whose_chunks_fail_passes_the_error_on_and_leaves_nothing(self, store: Store, chunks: int) -> None:
        file = File("/", Sample(3 * BLOCK))
        with pytest.raises(SourceFailed):
            store.put(file.content, FailingChunks(file.sample, chunks))
        _assert_absent(store, file)
        put(store, file)
        assert has_data(store, file)

    @clause("ContentStore.put", "a store must draw `chunks` to its end before it makes anything visible")
    def test_nothing_is_visible_before_the_chunks_have_ended(self, store: Store) -> None:
        file = File("/", Sample(3 * BLOCK))

        def look(_chunk: int) -> None:
            _assert_absent(store, file)

        store.put(file.content, WatchedChunks(file.sample.chunks(), look))
        assert has_data(store, file)

    @clause("ContentStore.put", "a store must draw `chunks` to its end before it makes anything visible")
    def test_an_error_after_the_last_chunk_leaves_nothing(self, store: Store) -> None:
        file = File("/", Sample(BLOCK))

        def fail_at_the_end(chunk: int) -> None:
            if chunk == 1:
                raise SourceFailed

        with pytest.raises(SourceFailed):
            store.put(file.content, WatchedChunks(file.sample.chunks(), fail_at_the_end))
        _assert_absent(store, file)

    @clause("ContentStore.put", "a store must draw `chunks` to its end before it makes anything visible")
    def test_an_error_instead_of_the_only_chunk_of_an_empty_content_leaves_nothing(self, store: Store) -> None:
        file = File("/", Sample(0))
        with pytest.raises(SourceFailed):
            store.put(file.content, FailingChunks(file.sample, 0))
        _assert_absent(store, file)

    @clause("ContentStore.put", "Putting what is there already, also from several threads at once, succeeds")
    def test_putting_again_changes_nothing(self, store: Store) -> None:
        file = File("/", Sample(2 * BLOCK))
        put(store, file)
        put(store, file)
        assert list(store.contents()) == [file.content]
        assert has_data(store, file)

    @clause("ContentStore.put", "changes nothing; it need not consume `chunks`")
    def test_a_failed_put_of_what_is_there_leaves_it_there(self, store: Store) -> None:
        for size, length in ((2 * BLOCK, BLOCK), (30, 10)):
            file = File("/", Sample(size))
            put(store, file)
            harvested = [file.seen(1)]
            store.record({file.signature: file.content}, harvested)
            chunks = -(-size // length)
            for error in (SourceFailed(), ContentMismatch(file.content, "md5", "00"), StoreFull("no room"), OSError()):
                for at in range(chunks + 1):
                    with contextlib.suppress(type(error)):  # chunks need not be drawn, and may be
                        store.put(file.content, ChunksOnce(file.sample, length, at, error))
                    there = store.present([file.content.sha256])
                    assert there == {file.content.sha256: file.content}, f"{error!r} in place of chunk {at}"
            assert has_data(store, file)
            assert list(store.contents()) == [file.content]
            assert listing(store) == harvested
            store.forget(Query())
            store.discard([file.content.sha256])

    @clause("ContentStore.put", "Putting what is there already, also from several threads at once, succeeds")
    def test_one_content_put_by_several_threads_is_there_once(self, store: Store) -> None:
        file = File("/", Sample(2 * BLOCK))
        threads = 4
        all_in = threading.Barrier(threads)

        def meet(chunk: int) -> None:
            if chunk == 1:
                all_in.wait(THREAD_SECONDS)

        def put_one() -> None:
            store.put(file.content, WatchedChunks(file.sample.chunks(), meet))

        at_once(*[put_one] * threads)
        assert list(store.contents()) == [file.content]
        assert has_data(store, file)

    @clause("ContentStore.put", "holds no lock that stops other calls while it waits for a chunk")
    def test_a_put_that_waits_for_a_chunk_stops_nobody_else(self, store: Store) -> None:
        slow, quick = File("/slow", Sample(2 * BLOCK)), File("/quick", Sample(10))
        waiting, go_on = threading.Event(), threading.Event()

        def wait(chunk: int) -> None:
            if chunk == 1:
                waiting.set()
                assert go_on.wait(2 * THREAD_SECONDS)

        def put_slowly() -> None:
            store.put(slow.content, WatchedChunks(slow.sample.chunks(), wait))

        def do_everything_else() -> None:
            wait_for(waiting, "a put does not draw its chunks")
            try:
                at_once(lambda: use(store, quick))
            finally:
                go_on.set()

        at_once(put_slowly, do_everything_else)
        assert has_data(store, slow)

    @thorough
    @clause("ContentStore.put", "Never holds the whole content in memory", needs=Capability.DURABLE)
    def test_a_large_content_costs_no_memory(self, place: Place) -> None:
        worker = place.worker()
        worker.ready()
        worker.start(Weigh(LARGE))
        put_bytes = worker.report()
        assert isinstance(put_bytes, int)
        assert put_bytes < WEIGHT_LIMIT, f"putting {LARGE.size} bytes took {put_bytes} bytes of memory"
        for offset in Weigh.offsets(LARGE):
            read_bytes = worker.report()
            assert isinstance(read_bytes, int), read_bytes
            how = f"reading {LARGE.size} bytes from offset {offset}"
            assert read_bytes < WEIGHT_LIMIT, f"{how} took {read_bytes} bytes of memory"

    @thorough
    @clause("ContentStore.read", "Never holds the whole content in memory.", lacks=Capability.DURABLE)
    def test_a_content_is_in_memory_once_at_the_most(self, store: Store, capabilities: frozenset[Capability]) -> None:
        # What keeps nothing beyond this process has its contents here: once, and read as they are.
        most = FAIR.size * (3 if Capability.SHARED in capabilities else 7) // 4
        content = FAIR.content
        put_bytes = height_of(lambda: store.put(content, FAIR.chunks()))
        assert put_bytes < most, f"putting {FAIR.size} bytes took {put_bytes} bytes of memory"
        for offset in Weigh.offsets(FAIR):
            read_bytes = height_of(lambda offset=offset: deque(store.read(content.sha256, offset), maxlen=0))  # type: ignore[misc]
            how = f"reading {FAIR.size} bytes from offset {offset}"
            assert read_bytes < FAIR.size // 2, f"{how} took {read_bytes} bytes of memory"

    @thorough
    @clause("ContentStore.put", "Store the bytes of `content`.")
    def test_a_large_content_comes_back_as_it_went_in(self, store: Store) -> None:
        file = File("/", FAIR)
        put(store, file)
        for given, expected in zip(_blocks(store, file), FAIR.chunks(), strict=True):
            assert given == expected, "the bytes differ"


def _blocks(store: Store, file: File) -> list[bytes]:
    data = bytearray()
    blocks = []
    for chunk in store.read(file.content.sha256):
        data += chunk
        while len(data) >= BLOCK:
            blocks.append(bytes(data[:BLOCK]))
            del data[:BLOCK]
    return [*blocks, bytes(data)] if data else blocks


def _assert_absent(store: Store, file: File) -> None:
    sha256 = file.content.sha256
    assert store.present([sha256]) == {}
    assert list(store.contents()) == []
    with pytest.raises(UnknownContent):
        list(store.read(sha256))
    with pytest.raises(UnknownContent):
        store.record({file.signature: file.content}, [file.seen()])
