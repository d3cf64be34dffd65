"""How the server calls the contents half: any collection, chunks that can be drawn once; and what it may expect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from kharvest.spi import MAX_CHUNK_BYTES, Content, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._samples import BLOCK, BareCollection, ChunksOnce, File, Sample, content_of
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import data_of, has_data, put

FILES = tuple(File(f"/{number}", Sample(100, number)) for number in range(8))
STRANGER = Sample(100, 99).content.sha256

COLLECTIONS: Mapping[str, Callable[[Sequence[bytes]], Collection[bytes]]] = MappingProxyType(
    {
        "list": list,
        "tuple": tuple,
        "set": set,
        "frozenset": frozenset,
        "keys": lambda digests: dict.fromkeys(digests).keys(),
        "values": lambda digests: dict(enumerate(digests)).values(),
        "bare": BareCollection,
    }
)

UNEVEN = (1, 2, MAX_CHUNK_BYTES, 1, MAX_CHUNK_BYTES - 1, 7, 300 * 1024, 64 * 1024 + 1, 100)

ANY = "It comes in any collection: a list, a tuple, a set, a view of a dictionary."
KEEPS = "A store keeps nothing that it is given and changes nothing of it"
TYPES = "What a method returns is of the type that its signature says"
ONCE = "`chunks` can be drawn once. Its chunks have 1 to MAX_CHUNK_BYTES bytes"


@thorough
class ContentCallTests(Base):
    """Of `ContentStore`, and of arguments and answers as the contract's head describes them."""

    @clause("store", ANY)
    def test_contents_are_looked_up_in_any_collection(self, store: Store) -> None:
        put(store, *FILES)
        expected = {file.content.sha256: file.content for file in FILES}
        asked = [*expected, STRANGER]
        for name, collection in COLLECTIONS.items():
            assert store.present(collection([])) == {}, f"an empty {name}"
            assert store.present(collection([STRANGER])) == {}, name
            assert store.present(collection(asked)) == expected, name
            assert store.present(collection(asked + asked[::-1])) == expected, f"{name}, with some digests twice"

    @clause("store", ANY)
    def test_contents_are_discarded_in_any_collection(self, store: Store) -> None:
        put(store, *FILES)
        left = {file.content.sha256: file.content for file in FILES}
        for (name, collection), file in zip(COLLECTIONS.items(), FILES, strict=False):
            store.discard(collection([]))
            assert store.present(list(left)) == left, f"after an empty {name} was discarded"
            digest = file.content.sha256
            store.discard(collection([STRANGER, digest, digest]))
            del left[digest]
            assert store.present([*left, digest]) == left, name
        assert list(store.contents()) == list(left.values())

    @clause("store", KEEPS)
    def test_what_is_given_and_returned_for_contents_stays_the_callers(self, store: Store) -> None:
        chunks = [bytes([number]) * 1000 for number in range(4)]
        body = b"".join(chunks)
        content = content_of(body)
        store.put(content, chunks)
        assert len(chunks) == 4, "put changed the list of chunks"
        chunks[0] = b"changed"
        del chunks[2:]
        assert b"".join(store.read(content.sha256)) == body, "the list of chunks was kept"

        put(store, *FILES)
        expected = {file.content.sha256: file.content for file in FILES} | {content.sha256: content}
        digests = [*reversed(expected), STRANGER, content.sha256]
        asked, view = list(digests), dict.fromkeys(digests).keys()
        answer = store.present(asked)
        store.present(view)
        store.discard(doomed := [STRANGER, content.sha256, STRANGER])
        assert asked == digests, "present changed what it was given"
        assert list(view) == list(dict.fromkeys(digests)), "present changed what it was given"
        assert doomed == [STRANGER, content.sha256, STRANGER], "discard changed what it was given"
        assert answer == expected, "an answer changed after it was given"
        again = store.present(asked)
        del expected[content.sha256]
        whole = dict(expected)
        for given in (whole, whole.keys() | set()):
            mirrored = store.present(given)
            assert mirrored == expected
            mirrored.clear()
            assert set(given) == expected.keys(), "the answer of present is what the caller gave"
        doomed.extend(expected)
        answer.clear()
        asked.clear()
        again[STRANGER] = content
        assert store.present(digests) == expected
        assert sorted(one.sha256 for one in store.contents()) == sorted(expected)

    @clause("ContentStore.put", ONCE)
    def test_chunks_are_drawn_once_whatever_their_sizes(self, store: Store) -> None:
        cuts: Mapping[str, Iterable[int]] = {
            "the largest chunks": [MAX_CHUNK_BYTES] * 2,
            "uneven chunks": UNEVEN,
            "chunks of one byte": [1] * 700,
            "no chunk": [],
        }
        for variant, (name, sizes) in enumerate(cuts.items()):
            sample = Sample(sum(sizes), variant)
            data = sample.data()
            store.put(sample.content, (chunk for chunk in _cut(data, sizes)))
            is_same = b"".join(store.read(sample.content.sha256)) == data
            assert is_same, f"{name}: other bytes come back than went in"
        for variant, size in enumerate((1, 1000, 3 * BLOCK, MAX_CHUNK_BYTES + 1), len(cuts)):
            file = File("/", Sample(size, variant))
            store.put(file.content, ChunksOnce(file.sample))
            assert has_data(store, file), f"{size} bytes of an iterator"

    @clause("store", TYPES)
    def test_what_calls_on_contents_return_is_of_its_type(self, store: Store) -> None:
        calls: list[Callable[[], object]] = []
        files = [File("/", Sample(size, 20)) for size in (0, 1, 1000, 3 * BLOCK, MAX_CHUNK_BYTES + 1)]
        for file in files:
            content, chunks = file.content, file.sample.chunks()
            calls += [lambda one=content, all_=chunks: store.put(one, all_) for _again in range(2)]  # type: ignore[misc]
        calls += [lambda: store.discard([]), lambda: store.discard([STRANGER])]
        for call in calls:
            assert call() is None, "put and discard return nothing"

        for file in files:
            for offset in (0, 1, file.sample.size // 2, file.sample.size + 1):
                chunks_read = store.read(file.content.sha256, offset)
                assert isinstance(chunks_read, Iterator)
                for chunk in chunks_read:
                    assert isinstance(chunk, bytes), f"read gives {type(chunk).__name__}"
        answer = store.present([file.content.sha256 for file in files])
        assert isinstance(answer, dict)
        assert all(isinstance(digest, bytes) for digest in answer)
        listed = store.contents()
        assert isinstance(listed, Iterator)
        for content in (*answer.values(), *listed):
            _assert_fields(content)
        assert isinstance(store.contents(b"\xff" * 32), Iterator)
        for digests in ([], [STRANGER]):
            assert isinstance(store.present(digests), dict)
        assert store.discard([files[1].content.sha256]) is None  # type: ignore[func-returns-value]
        assert data_of(store, files[2]) == files[2].sample.data()

    @clause("ContentStore.read", "The bytes of a content from `offset` on")
    def test_any_offset_is_found_however_the_bytes_were_cut(self, store: Store) -> None:
        cuts: Sequence[Sequence[int]] = ([1] * 1000, [1000] * 12 + [345], UNEVEN, [65_521] * 32 + [3000])
        for variant, sizes in enumerate(cuts, 30):
            sample = Sample(sum(sizes), variant)
            data = sample.data()
            store.put(sample.content, _cut(data, sizes))
            edges = {0, sizes[0], sizes[0] + sizes[1], sum(sizes[: len(sizes) // 2]), sum(sizes[:-1]), sample.size}
            edges |= {BLOCK, 255 * 1024, 256 * 1024, 448 * 1024, 512 * 1024, MAX_CHUNK_BYTES, 2 * MAX_CHUNK_BYTES}
            offsets = {edge + step for edge in edges for step in (-1, 0, 1)}
            for offset in sorted(offset for offset in offsets if 0 <= offset <= sample.size):
                is_rest = b"".join(store.read(sample.content.sha256, offset)) == memoryview(data)[offset:]
                assert is_rest, f"from offset {offset} of {sample.size}, put in chunks of {sizes[:10]}"


def _cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size


def _assert_fields(content: Content) -> None:
    assert isinstance(content, Content), f"a {type(content).__name__} in the place of a Content"
    for field, kind in (("sha256", bytes), ("md5", bytes), ("size", int)):
        value = getattr(content, field)
        assert isinstance(value, kind), f"{field} of a content is a {type(value).__name__}"
