"""Calls as the contract's signatures say: what a caller may leave out, and the types of what errors carry."""

from __future__ import annotations

import contextlib

import pytest

from kharvest.spi import Page, Query, Store, UnknownContent
from kharvest_conformance._clauses import clause
from kharvest_conformance._place import Place
from kharvest_conformance._samples import File, Sample
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import put


class CallingTests(Base):
    """Tests of what no other test gives or looks at, as it is written down for every call."""

    @clause("ContentStore.read", "The bytes of a content from `offset` on")
    def test_read_without_an_offset_begins_at_the_start(self, place: Place) -> None:
        file = File("/1", Sample(1))
        with contextlib.closing(place.open_unrecorded()) as store:  # a recorded one is always given an offset
            put(store, file)
            assert b"".join(store.read(file.content.sha256)) == file.sample.data()

    @clause("ContentStore.contents", "All stored contents")
    def test_contents_without_a_start_are_all_contents(self, place: Place) -> None:
        files = [File(f"/{number}", Sample(number)) for number in range(40)]
        with contextlib.closing(place.open_unrecorded()) as store:
            put(store, *files)
            every = sorted((file.content for file in files), key=lambda one: one.sha256)
            assert list(store.contents()) == every
            assert list(store.contents(every[20].sha256)) == every[21:]
            assert list(store.contents()) == every, "what was listed before makes a difference"

    @clause("store", "Arguments may be given by name.")
    def test_arguments_may_be_given_by_name(self, place: Place) -> None:
        file = File("/1", Sample(100))
        content, signature, mine = file.content, file.signature, Query(path="/1")
        with contextlib.closing(place.open_unrecorded()) as store:  # a recorded one gives them in their order
            store.put(content=content, chunks=file.sample.chunks(10))
            assert b"".join(store.read(sha256=content.sha256, offset=1)) == file.sample.data()[1:]
            assert store.present(sha256s=[content.sha256]) == {content.sha256: content}
            assert list(store.contents(after=b"")) == [content]
            store.record(files={signature: content}, references=[file.seen(1)])
            assert store.append(files={}, references=[file.seen(2)]) == [file.seen(2)]
            assert store.known(signatures=[signature]) == {signature: content}
            assert store.newest(timelines=[file.seen(1).timeline]) == {file.seen(1).timeline: file.seen(2)}
            assert isinstance(store.references(query=mine), Page)
            assert isinstance(store.files(query=mine), Page)
            assert store.claim(keys=[b"key"], holder="holder", now_ns=0, until_ns=10) == {b"key"}
            store.release(keys=[b"key"], holder="holder")
            assert store.forget(query=mine) == 2
            store.discard(sha256s=[content.sha256])
            assert store.present(sha256s=[content.sha256]) == {}

    @clause("store", "Only `references` of `record` and `append` have an order.")
    def test_what_is_asked_for_and_named_comes_in_any_order(self, store: Store) -> None:
        files = [File(f"/{number * 7 % 12:02}", Sample(10, number)) for number in range(12)]
        put(store, *files)
        by_path, by_digest = sorted(files, key=lambda one: one.path), sorted(files, key=lambda one: one.content.sha256)
        for at, given in enumerate((files, by_path, by_path[::-1], by_digest, by_digest[::-1]), 1):
            references = [file.seen(at) for file in files]
            store.record({file.signature: file.content for file in given}, references)
            assert store.known([one.signature for one in given]) == {one.signature: one.content for one in files}
            assert store.newest([one.seen().timeline for one in given]) == {one.timeline: one for one in references}
            sha256s = [one.content.sha256 for one in given]
            assert store.present(sha256s) == {one.content.sha256: one.content for one in files}
            assert store.claim(sha256s, "holder", 0, 10) == set(sha256s)
            assert store.claim(sha256s, "other", 1, 10) == set()
            store.release(sha256s, "holder")
            assert store.claim(sha256s, "other", 1, 10) == set(sha256s), "a key is held that was released"
            store.release(sha256s, "other")
        for given in (
            files[:4],
            sorted(files[4:8], key=lambda one: one.path),
            sorted(files[8:], reverse=True, key=repr),
        ):
            store.discard([one.content.sha256 for one in given])
            assert store.present([one.content.sha256 for one in given]) == {}, "a content is there that was discarded"

    @clause("ContentStore.read", "UnknownContent: it is not there")
    def test_reading_what_is_not_there_names_it_in_a_frozen_set(self, store: Store) -> None:
        with pytest.raises(UnknownContent) as refused:
            list(store.read(bytes(32)))
        assert refused.value.sha256s == {bytes(32)}
        assert isinstance(refused.value.sha256s, frozenset)
        assert refused.value.signatures == frozenset()
