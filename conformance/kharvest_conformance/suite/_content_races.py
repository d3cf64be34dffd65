"""Contents in many hands at once: readers, puts and discards of one content, and iterators that are left half drawn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from kharvest.spi import Capability, Store, UnknownContent
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._place import Place
from kharvest_conformance._samples import BLOCK, File, PausedChunks, Sample, WatchedChunks
from kharvest_conformance._tasks import Discard
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import THREAD_SECONDS, at_once, has_data, put, turns_taken_often, use, wait_for

TO_ITS_END = "A content that is discarded while it is read is given to its end, or the iterator raises"
NEITHER = "Should both come at once, either may win, but neither"
HALF_DRAWN = "an iterator that is left half drawn stops no other call"

SMALL, LARGE = 3000, 3_800_000
"""A content that any store gives in few chunks, and one that takes our stores several reads."""
ITERATORS = 64
READERS = 16
WAITING = 40
PUTTERS = 2
ROUNDS = 8


@thorough
class ContentRaceTests(Base):
    """Of `ContentStore.read`, `put` and `discard`, at the same time."""

    @clause("ContentStore.read", TO_ITS_END)
    @pytest.mark.parametrize("size", [SMALL, LARGE])
    def test_a_content_that_is_discarded_while_it_is_read_never_ends_early(
        self, place: Place, capabilities: frozenset[Capability], size: int
    ) -> None:
        store = place.open()
        handles = {"this handle": store}
        if Capability.SHARED in capabilities:
            handles["another handle"] = place.open()
        file = File("/", Sample(size, 1))
        data = file.sample.data()
        for name, other in handles.items():
            for drawn in (0, 1) if size == SMALL else (1,):
                for again in (False, True) if size == SMALL or other is store else (True,):
                    store.put(file.content, file.sample.chunks())
                    chunks = store.read(file.content.sha256)
                    head = [next(chunks) for _chunk in range(drawn)]
                    other.discard([file.content.sha256])
                    if again:
                        other.put(file.content, file.sample.chunks(1999))
                    whole = _rest(head, chunks)
                    is_right = whole is None or whole == data
                    how = f"discarded by {name} after {drawn} chunks were read{', and put again' if again else ''}"
                    assert is_right, f"a reader got {len(whole or b'')} of {size} bytes, and no error: {how}"
                    if again:
                        assert has_data(store, file), f"its bytes are others: {how}"
                        store.discard([file.content.sha256])
                    with pytest.raises(UnknownContent):
                        list(store.read(file.content.sha256))

    @clause("ContentStore.read", TO_ITS_END, needs=Capability.SHARED)
    def test_a_content_that_another_process_discards_while_it_is_read_never_ends_early(self, place: Place) -> None:
        store = place.open()
        worker = place.worker()
        worker.ready()
        for number in range(2):
            file = File("/", Sample(LARGE, 10 + number))
            store.put(file.content, file.sample.chunks())
            chunks = store.read(file.content.sha256)
            head = [next(chunks)]
            worker.start(Discard([file.content.sha256], file.sample if number == 1 else None))
            worker.report()
            whole = _rest(head, chunks)
            is_right = whole is None or whole == file.sample.data()
            assert is_right, f"a reader got {len(whole or b'')} of {LARGE} bytes, and no error"
            assert file.content.sha256 in store.present([file.content.sha256]) or number != 1
        file = File("/", Sample(LARGE, 20))
        waiting = PausedChunks(file.sample.chunks(), 60)
        worker.start(Discard([file.content.sha256], file.sample))

        def let_go() -> None:
            try:
                worker.report()
            finally:
                waiting.go_on.set()

        at_once(partial(store.put, file.content, waiting), let_go)
        assert has_data(store, file)

    @clause("ContentStore.discard", NEITHER)
    @pytest.mark.parametrize("size", [SMALL, LARGE])
    def test_a_put_beside_a_discard_of_its_content_is_there_whole(
        self, place: Place, capabilities: frozenset[Capability], size: int
    ) -> None:
        store = place.open()
        handles = [store, place.open()] if Capability.SHARED in capabilities else [store]
        length = size // 3 if size == SMALL else BLOCK
        chunks = -(-size // length)
        moments = [(other, at) for other in handles for at in (1, chunks)] if size == SMALL else [(handles[-1], chunks)]
        for number, (other, at) in enumerate(moments):
            file = File("/", Sample(size, 30 + number))
            waiting = PausedChunks(file.sample.chunks(length), at)

            def discard(other: Store = other, file: File = file, waiting: PausedChunks = waiting) -> None:
                try:
                    wait_for(waiting.reached, "a put does not draw its chunks")
                    other.discard([file.content.sha256])
                finally:
                    waiting.go_on.set()

            at_once(partial(store.put, file.content, waiting), discard)
            how = f"discarded before chunk {at} of {chunks} was put, and the put returned later"
            assert store.present([file.content.sha256]) == {file.content.sha256: file.content}, how
            assert has_data(store, file), f"its bytes are others: {how}"
            store.discard([file.content.sha256])
            assert store.present([file.content.sha256]) == {}

    @clause("ContentStore.discard", "fails for another reason than that the content is not there")
    def test_puts_discards_and_reads_of_one_content_at_once_never_show_a_part(self, store: Store) -> None:
        file = File("/", Sample(2 * BLOCK + 5, 40))
        data = file.sample.data()
        putting = [True] * PUTTERS

        def put_often(which: int) -> None:
            try:
                for number in range(ROUNDS):
                    store.put(file.content, file.sample.chunks(BLOCK + number))
            finally:
                putting[which] = False

        def discard_until_the_end() -> None:
            while any(putting):
                store.discard([file.content.sha256])

        def read_until_the_end() -> None:
            while any(putting):
                try:
                    whole = b"".join(store.read(file.content.sha256))
                except UnknownContent:
                    continue
                is_right = whole == data
                assert is_right, f"a reader got {len(whole)} of {len(data)} bytes, or others, and no error"

        puts = (partial(put_often, which) for which in range(PUTTERS))
        with turns_taken_often():
            at_once(*puts, discard_until_the_end, read_until_the_end)
        put(store, file)
        assert has_data(store, file)
        assert list(store.contents()) == [file.content]

    @clause("store", HALF_DRAWN)
    def test_iterators_left_half_drawn_stop_no_other_call(self, store: Store) -> None:
        files = [File(f"/{number}", Sample(1_600_000 if number == 0 else 50, 50 + number)) for number in range(5)]
        put(store, *files)
        expected = sorted((file.content for file in files), key=lambda content: content.sha256)
        large = files[0]
        readers: list[Iterator[bytes]] = []
        listings = []

        def leave_half_drawn() -> None:
            for _one in range(ITERATORS):
                readers.append(store.read(large.content.sha256))
                listings.append(store.contents())
            heads.extend(next(reader) for reader in readers)
            firsts.extend(next(listing) for listing in listings)

        heads: list[bytes] = []
        firsts: list[object] = []
        at_once(leave_half_drawn)
        other = File("/other", Sample(10, 60))
        at_once(partial(use, store, other))
        assert firsts == expected[:1] * ITERATORS
        data = large.sample.data()
        for number in (0, ITERATORS // 2, ITERATORS - 1):
            is_right = heads[number] + b"".join(readers[number]) == data
            assert is_right, "a reader that was left half drawn goes on with other bytes"
            rest = [content for content in listings[number] if content != other.content]
            assert rest == expected[1:], "a list of contents that was left half drawn goes on with others"

    @clause("store", "No method holds a lock, or anything else of which there is a limited number, while its caller")
    def test_many_puts_that_wait_for_chunks_stop_no_other_call(self, store: Store) -> None:
        large = File("/large", Sample(1_600_000, 80))
        put(store, large)
        files = [File(f"/{number}", Sample(1500, 100 + number)) for number in range(WAITING)]
        paused = [PausedChunks(file.sample.chunks(1000), number % 3) for number, file in enumerate(files)]

        def call_all_others() -> None:
            try:
                for number, one in enumerate(paused):
                    assert one.reached.wait(THREAD_SECONDS), f"a put beside {number} that wait does not draw its chunks"
                readers = [store.read(large.content.sha256) for _one in range(WAITING)]
                heads = [next(reader) for reader in readers]
                listings = [store.contents() for _one in range(WAITING)]
                assert [next(listing) for listing in listings] == [large.content] * WAITING
                at_once(partial(use, store, File("/other", Sample(10, 60))))
                is_right = heads[-1] + b"".join(readers[-1]) == large.sample.data()
                assert is_right, "a reader beside puts that wait gets other bytes"
            finally:
                for one in paused:
                    one.go_on.set()

        puts = (partial(store.put, file.content, chunks) for file, chunks in zip(files, paused, strict=True))
        at_once(call_all_others, *puts)
        for file in files:
            assert has_data(store, file), "a put that has waited for its chunks has left other bytes"

    @clause("ContentStore.put", "Putting what is there already, also from several threads at once, succeeds")
    def test_a_content_that_comes_from_elsewhere_while_it_is_put_is_there_once(self, store: Store) -> None:
        for number, (size, at) in enumerate((size, at) for size in (300, 2 * BLOCK) for at in range(3)):
            file, beside = File("/", Sample(size, 90 + number)), File("/", Sample(10, 90 + number))
            length = -(-size // 2)

            def put_it(chunk: int, file: File = file, at: int = at, length: int = length) -> None:
                if chunk == at:
                    store.put(file.content, file.sample.chunks(length + 1))

            put(store, beside)
            store.put(file.content, WatchedChunks(file.sample.chunks(length), put_it))
            both = sorted((file.content, beside.content), key=lambda content: content.sha256)
            assert list(store.contents()) == both, f"put again before chunk {at} of 2"
            assert has_data(store, file)
            store.discard([file.content.sha256])
            assert list(store.contents()) == [beside.content]
            assert store.present([file.content.sha256]) == {}
            store.discard([beside.content.sha256])
            assert list(store.contents()) == []

    @clause("store", "Calls that come at once take effect in some order. None fails because others are under way.")
    def test_many_threads_read_one_content_at_once(self, store: Store) -> None:
        file = File("/", Sample(1_600_000, 70))
        put(store, file)
        data = file.sample.data()
        all_in = threading.Barrier(READERS)

        def read(offset: int) -> bool:
            chunks = store.read(file.content.sha256, offset)
            head = next(chunks)
            all_in.wait(THREAD_SECONDS)
            return b"".join([head, *chunks]) == data[offset:]

        calls: list[Callable[[], bool]] = [partial(read, number * 100_003) for number in range(READERS)]
        assert at_once(*calls) == [True] * READERS, "readers that read at the same time get other bytes"


def _rest(head: list[bytes], chunks: Iterator[bytes]) -> bytes | None:
    """All that a reader got; None if it was told that the content is not there any more."""
    try:
        return b"".join([*head, *chunks])
    except UnknownContent:
        return None
