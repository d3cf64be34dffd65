"""`present`, `contents` and `discard` at their limits: awkward digests, many contents, large sizes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial

import pytest

from kharvest.spi import (
    MAX_BATCH,
    NO_METADATA,
    Content,
    ContentMismatch,
    Query,
    Reference,
    Signature,
    Store,
    StoreFull,
    UnknownContent,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._digests import awkward, neighbours
from kharvest_conformance._dressing import OwnList
from kharvest_conformance._place import Place
from kharvest_conformance._samples import COLLIDING, WEB, BareCollection, content_of
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import THREAD_SECONDS, at_once, turns_taken_often

MANY = 1101
BATCH = 256
LOOKERS = 3
THREADS = 16
LOOK_SECONDS = 0.05
"""How long a collection that is being drawn waits for a look at the store, which a store that holds a lock delays."""
AFTER = "`after` may have any length, also none: it is compared byte by byte."
MOMENT = (
    "Every call takes effect whole or not at all, and each read shows one moment: what a batch wrote is in an answer"
)


@thorough
class ContentListTests(Base):
    """Of `ContentStore.present`, `contents` and `discard`."""

    @clause("ContentStore.present", "Those of the contents that are stored, by their SHA-256.")
    def test_digests_are_exact_whatever_bytes_they_have(self, store: Store) -> None:
        bodies = awkward()
        _put_all(store, bodies.values())
        expected = {content.sha256: content for content in map(content_of, bodies.values())}
        strangers = set[bytes]().union(*map(neighbours, expected)) - expected.keys()
        assert store.present(strangers) == {}, "digests that differ in a byte are taken for each other"
        assert store.present([*strangers, *expected]) == expected
        store.discard(strangers)
        assert list(store.contents()) == [expected[digest] for digest in sorted(expected)]
        for digest, body in bodies.items():
            assert b"".join(store.read(digest)) == body
        for stranger in sorted(strangers)[::20]:
            with pytest.raises(UnknownContent):
                list(store.read(stranger))
        left = dict(expected)
        for digest in expected:
            store.discard([digest])
            del left[digest]
            assert store.present(expected.keys()) == left

    @clause("ContentStore.put", "Store the bytes of `content`.")
    def test_contents_of_one_md5_and_size_are_two(self, store: Store) -> None:
        one, other = COLLIDING
        _put_all(store, COLLIDING)
        expected = {content.sha256: content for content in map(content_of, COLLIDING)}
        assert store.present(list(expected)) == expected
        assert b"".join(store.read(content_of(one).sha256)) == one
        assert b"".join(store.read(content_of(other).sha256)) == other
        store.discard([content_of(one).sha256])
        assert list(store.contents()) == [content_of(other)]
        assert b"".join(store.read(content_of(other).sha256)) == other

    @clause("ContentStore.contents", AFTER)
    def test_contents_starts_after_bytes_of_any_length(self, store: Store) -> None:
        bodies = awkward()
        _put_all(store, bodies.values())
        expected = sorted(map(content_of, bodies.values()), key=lambda content: content.sha256)
        starts = {b"", b"\0", b"\x7f", b"\xff", b"\0" * 31, b"\0" * 64, b"\xff" * 31, b"\xff" * 32, b"\xff" * 64}
        for content in expected[::3]:
            digest = content.sha256
            starts |= {digest[:1], digest[:16], digest[:31], digest, digest + b"\0", digest + b"\xff" * 32}
            starts |= {digest[:31] + bytes([byte]) for byte in (0, digest[31] ^ 1, 0xFF)}
            starts |= {digest.rstrip(b" "), digest + b" "}
        # Filled up to 32 bytes, one of these would be the very digest, which is greater than it.
        starts |= {content.sha256.rstrip(b"\0") for content in expected}
        for after in sorted(starts):
            given = list(store.contents(after))
            left = [content for content in expected if content.sha256 > after]
            assert given == left, f"after {after.hex() or 'nothing'}"

    @clause("ContentStore.contents", "All stored contents whose SHA-256 is greater than `after`")
    def test_many_contents_are_listed_looked_up_and_discarded(self, store: Store) -> None:
        bodies = [b"many/%d" % number for number in range(MANY)]
        _put_all(store, bodies)
        expected = sorted(map(content_of, bodies), key=lambda content: content.sha256)
        digests = [content.sha256 for content in expected]
        _assert_listed(store.contents(), expected)
        _assert_listed(store.contents(digests[70]), expected[71:])
        # One less than the most: the last piece is a short one, whatever usual length the pieces have.
        strangers = [number.to_bytes(32) for number in range(MAX_BATCH - 1 - MANY)]
        for before in (len(strangers), 3500, 0):
            found = store.present([*strangers[:before], *digests, *strangers[before:]])
            assert sorted(found) == digests, f"{len(found)} of {MANY} contents are present"
            assert [found[digest] for digest in digests] == expected

        listed = store.contents()
        given = [next(listed) for _first in range(10)]
        store.discard(digests[11::2])
        _put_all(store, [b"later/%d" % number for number in range(THREADS)])
        given += listed
        order = [content.sha256 for content in given]
        assert order == sorted(set(order)), "the order is broken, or a content is given twice"
        kept = {*digests[:11], *digests[12::2]}
        assert [digest for digest in order if digest in kept] == sorted(kept), "what stayed there was left out"

        full = OwnList([*strangers, MAX_BATCH.to_bytes(32), *digests])  # the last of them is there
        assert len(full) == MAX_BATCH
        assert store.present(full).keys() == kept, "of as many as one call may ask for"
        store.discard(full)
        assert store.present(digests) == {}
        assert len(list(store.contents())) == THREADS

    @clause("store", MOMENT)
    def test_a_discard_takes_effect_at_one_moment(self, store: Store) -> None:
        bodies = [b"batch/%d" % number for number in range(3 * BATCH)]
        _put_all(store, bodies)
        digests = [content_of(body).sha256 for body in bodies]
        first, second, other = digests[:BATCH], digests[BATCH : 2 * BATCH], digests[2 * BATCH :]
        for batch in (first, second):
            seen = _seen_while_discarded(store, batch)
            partly = seen - {0, BATCH}
            assert not partly, f"present shows {min(partly)} of {BATCH} contents while one call discards them all"
            assert store.present(batch) == {}

        asking, gone = threading.Event(), threading.Event()

        def wait_for_the_discard() -> None:
            asking.set()
            gone.wait(LOOK_SECONDS)

        def discard_others() -> None:
            assert asking.wait(THREAD_SECONDS)
            store.discard(other)
            gone.set()

        there, _none = at_once(lambda: len(store.present(_Watched(other, wait_for_the_discard))), discard_others)
        assert there in (0, BATCH), f"present shows {there} of {BATCH} contents that one call discards while it looks"

    @clause("values.Content", "`size` in bytes.")
    def test_sizes_and_offsets_beyond_32_bits_are_exact(self, place: Place) -> None:
        store = place.open()
        body = b"the end of it"
        small = content_of(body)
        store.put(small, [body])
        for offset in (2**31, 2**32, 2**32 + 1, 2**32 + small.size - 1, 2**63 - 1):
            assert list(store.read(small.sha256, offset)) == [], f"from offset {offset} of {small.size}"
        for size in (2**31, 2**32 + 5, 5 * 2**30):
            data = b"%d" % size
            large = Content(content_of(data).sha256, content_of(data).md5, size)
            try:
                store.put(large, [data])
            except (ContentMismatch, StoreFull):
                continue  # a store may look at the size itself, and needs room for it
            assert store.present([large.sha256]) == {large.sha256: large}
            assert large in list(store.contents())
            signature = Signature(f"/large/{size}", large.md5)
            for write in (store.record, store.append):
                write({signature: large}, [Reference(signature, WEB, NO_METADATA, size)])
            assert store.known([signature]) == {signature: large}
            (summary,) = store.files(Query(path=signature.path)).items
            assert summary.content == large
            store.forget(Query(path=signature.path))
            store.discard([large.sha256])


class _Watched(BareCollection):
    """A collection that calls something in the middle of being drawn."""

    def __init__(self, items: Sequence[bytes], call: Callable[[], None]) -> None:
        super().__init__(items)
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        for number, item in enumerate(super().__iter__()):
            if number == len(self) // 2:
                self._call()
            yield item


def _put_all(store: Store, bodies: Collection[bytes]) -> None:
    """Put contents of few bytes, several at the same time: many stores make one commit of them."""
    left = [(content_of(body), [body] if body else []) for body in bodies]
    for start in range(0, len(left), 4 * THREADS):
        some = left[start : start + 4 * THREADS]
        at_once(*(partial(_put_some, store, some[thread::THREADS]) for thread in range(THREADS)))


def _put_some(store: Store, contents: Iterable[tuple[Content, list[bytes]]]) -> None:
    for content, chunks in contents:
        store.put(content, chunks)


def _assert_listed(given: Iterator[Content], expected: list[Content]) -> None:
    listed = list(given)
    is_same = listed == expected
    assert is_same, f"{len(listed)} contents are listed, and not as they should be the {len(expected)} that are there"


def _seen_while_discarded(store: Store, batch: Sequence[bytes]) -> set[int]:
    """How many of the contents threads saw at a time: before one call discarded all, while it did, and after."""
    seen: set[int] = set()
    looked, ended = threading.Event(), threading.Event()

    def look() -> None:
        while not ended.is_set():
            seen.add(len(store.present(batch)))
            looked.set()

    def wait_for_looks() -> None:
        for _look in range(2):  # the first may have begun before
            looked.clear()
            looked.wait(LOOK_SECONDS)

    def discard() -> None:
        try:
            assert looked.wait(THREAD_SECONDS)
            store.discard(_Watched(batch, wait_for_looks))
        finally:
            ended.set()

    with turns_taken_often():
        at_once(*[look] * LOOKERS, discard)
    return seen
