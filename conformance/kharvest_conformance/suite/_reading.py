"""`read`, `present`, `contents`, `discard`: contents come out as they are."""

from __future__ import annotations

from itertools import accumulate

import pytest

from kharvest.spi import Store, UnknownContent
from kharvest_conformance._clauses import clause
from kharvest_conformance._digests import awkward
from kharvest_conformance._samples import BLOCK, File, Sample, content_of
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, has_data, put

THREE = tuple(File(f"/{number}", Sample(100, number)) for number in range(3))


class ReadingTests(Base):
    """Of `ContentStore.read`, `present`, `contents` and `discard`."""

    @clause("ContentStore.read", "The bytes of a content from `offset` on")
    def test_reading_from_an_offset_gives_the_rest(self, store: Store) -> None:
        for size in (1, BLOCK, 2 * BLOCK + 100):
            file = File("/", Sample(size))
            data = file.sample.data()
            put(store, file)
            for offset in sorted({0, 1, BLOCK - 1, BLOCK, BLOCK + 1, size - 1} & set(range(size))):
                is_rest = b"".join(store.read(file.content.sha256, offset)) == data[offset:]
                assert is_rest, f"from offset {offset} of {size}"

    @clause("ContentStore.read", "The bytes of a content from `offset` on")
    def test_reading_from_where_a_chunk_begins_gives_the_rest(self, store: Store) -> None:
        for length in (1000, BLOCK):
            sample = Sample(3 * BLOCK + 100, length)
            store.put(sample.content, sample.chunks(length))
            data, given = sample.data(), [len(chunk) for chunk in store.read(sample.content.sha256)]
            offsets = {*accumulate(given), *range(length, len(data), 20 * length)}
            for offset in sorted(offsets)[:12]:
                is_rest = b"".join(store.read(sample.content.sha256, offset)) == data[offset:]
                assert is_rest, f"from offset {offset}, put in chunks of {length}"

    @clause("ContentStore.read", "From an offset at or past the end: no chunks.")
    def test_reading_from_the_end_gives_no_chunks(self, store: Store) -> None:
        for size in (0, 1, BLOCK):
            file = File("/", Sample(size))
            put(store, file)
            for offset in (size, size + 1, size + 2**40):
                assert list(store.read(file.content.sha256, offset)) == [], f"from offset {offset} of {size}"

    @clause("ContentStore.read", "in chunks of the store's choice, none of them empty")
    def test_no_chunk_is_empty(self, store: Store) -> None:
        for size in (0, 1, BLOCK, 2**20):
            file = File("/", Sample(size))
            put(store, file)
            for offset in {0, size // 2, size}:
                chunks = list(store.read(file.content.sha256, offset))
                assert all(isinstance(chunk, bytes) for chunk in chunks)
                assert all(chunks), f"a chunk is empty, from offset {offset} of {size}"

    @clause("ContentStore.read", "UnknownContent: it is not there (raised by the call or on the first chunk)")
    def test_reading_what_is_not_there_raises_unknown_content(self, store: Store) -> None:
        put(store, *THREE)
        absent, gone = Sample(100, 99), THREE[0].sample
        store.discard([gone.content.sha256])
        for sample in (absent, gone, Sample(0)):
            sha256 = sample.content.sha256
            for offset in (
                0,
                1,
                99,
                100,
                101,
                BLOCK,
                *(2**bits + step for bits in (31, 32, 40, 62) for step in (-1, 0)),
            ):
                with pytest.raises(UnknownContent) as caught:
                    list(store.read(sha256, offset))
                assert caught.value.sha256s == {sha256}, f"from offset {offset}"

    @clause("ContentStore.read", "A reader that stops early should close the iterator.")
    def test_a_reader_that_stops_early_leaves_the_store_usable(self, store: Store) -> None:
        file = File("/", Sample(4 * BLOCK))
        put(store, file)
        chunks = store.read(file.content.sha256)
        next(chunks)
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
        harvest(store, THREE, [one.seen() for one in THREE])
        store.discard([file.content.sha256])
        assert store.present([file.content.sha256]) == {}

    @clause("ContentStore.read", "The bytes of a content from `offset` on")
    def test_two_readers_of_one_content_do_not_disturb_each_other(self, store: Store) -> None:
        file = File("/", Sample(3 * BLOCK))
        put(store, file)
        first, second = store.read(file.content.sha256), store.read(file.content.sha256, BLOCK)
        head = next(second)
        assert b"".join(first) == file.sample.data()
        assert head + b"".join(second) == file.sample.data()[BLOCK:]

    @clause("ContentStore.present", "Those of the contents that are stored, by their SHA-256.")
    def test_present_has_what_is_stored_and_nothing_else(self, store: Store) -> None:
        put(store, *THREE[:2])
        digests = [file.content.sha256 for file in THREE]
        assert store.present(digests) == {file.content.sha256: file.content for file in THREE[:2]}
        assert store.present(set(digests[2:])) == {}

    @clause("ContentStore.contents", "ascending by SHA-256")
    def test_contents_lists_all_in_the_order_of_their_digests(self, store: Store) -> None:
        files = [File("/", Sample(number % 7 + 10, number)) for number in range(40)]
        put(store, *files)
        expected = sorted((file.content for file in files), key=lambda content: content.sha256)
        assert list(store.contents()) == expected

    @clause("ContentStore.contents", "All stored contents whose SHA-256 is greater than `after`")
    def test_contents_starts_after_the_digest_it_is_given(self, store: Store) -> None:
        files = [File("/", Sample(10, number)) for number in range(12)]
        put(store, *files)
        ends = [content_of(data) for sha256, data in awkward().items() if sha256[-1:] in {b"\0", b" ", b"\n"}]
        for content in ends:
            store.put(content, [awkward()[content.sha256]])
        contents = [file.content for file in files] + ends
        expected = sorted(contents, key=lambda content: content.sha256)
        for at, content in enumerate(expected):
            assert list(store.contents(content.sha256)) == expected[at + 1 :]
        assert list(store.contents(bytes(32))) == expected
        assert list(store.contents(b"\xff" * 32)) == []
        for blank in (b" ", b"\n", b"\0"):
            for after in (blank + b"\xff" * 31, blank + b"\xff", expected[0].sha256[:31] + blank):
                assert list(store.contents(after)) == [one for one in expected if one.sha256 > after], after

    @clause("ContentStore.contents", "What is there all the while is given once, whatever is put and discarded")
    def test_contents_lists_what_stays_there_whatever_is_put_and_discarded_meanwhile(self, store: Store) -> None:
        files = [File("/", Sample(10, number)) for number in range(30)]
        put(store, *files)
        expected = sorted((file.content for file in files), key=lambda content: content.sha256)
        given = []
        for content in store.contents():
            if content in expected:
                given.append(content)
            put(store, File("/", Sample(50, len(given))))
            store.discard([content.sha256])
        assert given == expected

    @clause("ContentStore.discard", "Remove contents; what is not there is passed over.")
    def test_discard_removes_what_it_names_and_nothing_else(self, store: Store) -> None:
        put(store, *THREE)
        gone, *kept = THREE
        store.discard([gone.content.sha256, Sample(100, 99).content.sha256])
        assert store.present([file.content.sha256 for file in THREE]) == {
            file.content.sha256: file.content for file in kept
        }
        with pytest.raises(UnknownContent):
            list(store.read(gone.content.sha256))
        for file in kept:
            assert has_data(store, file)
        store.discard([gone.content.sha256])

    @clause("ContentStore.discard", "Remove contents")
    def test_what_was_discarded_can_be_put_again(self, store: Store) -> None:
        file = File("/", Sample(2 * BLOCK + 1))
        put(store, file)
        store.discard([file.content.sha256])
        put(store, file)
        assert has_data(store, file)
