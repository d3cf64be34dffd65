"""`forget`: removes references, a bounded number at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kharvest.spi import Metadata, Order, Pod, Query, Reference, Signature, Store, UnknownContent
from kharvest_conformance._clauses import clause
from kharvest_conformance._model import matching, newest, summaries
from kharvest_conformance._samples import (
    COLLIDING,
    OTHER,
    WEB,
    File,
    Sample,
    content_of,
    contents_by_signature,
    removed,
)
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, has_data, listing, put

FILES = tuple(File(f"/etc/{number}", Sample(10, number)) for number in range(4))
SCENE = (
    *(file.seen(at, pod) for file in FILES for at, pod in ((10, WEB), (20, OTHER), (30, WEB))),
    removed("/etc/0", 40, WEB),
    FILES[0].seen(50, OTHER, Metadata({"app": "web", "zone": "a"})),
    FILES[0].seen(60, OTHER, Metadata({"zone": "a"})),
)

_ONE = FILES[0].seen(2, Pod("gone", "first"), Metadata({"gone": "first", "app": "web"}))
_OTHER = FILES[1].seen(3, Pod("comes", "after"), Metadata({"comes": "after"}))
_PLAIN = FILES[2].seen(4, Pod("", "plain"))
_REMOVAL = removed("/etc/0", 5, Pod("gone", "after"), Metadata({"app": "web"}))
AFTER_EACH_OTHER: tuple[tuple[list[Reference], list[Reference]], ...] = (
    ([_ONE], [_PLAIN]),
    ([_ONE], [_OTHER]),
    ([_OTHER, _ONE], [_PLAIN, _REMOVAL]),
    ([_ONE, _REMOVAL], [replace(_PLAIN, metadata=_OTHER.metadata), replace(_ONE, metadata=Metadata())]),
    ([_REMOVAL], [replace(_ONE, pod=_PLAIN.pod)]),
    ([_ONE, _OTHER, _REMOVAL], [replace(_ONE, observed_at_ns=9), _PLAIN, replace(_OTHER, pod=_ONE.pod)]),
)
"""What is forgotten, and what comes then, in its place: a store may use numbers, rows and names again."""
CONTENTS = contents_by_signature(FILES)


class ForgettingTests(Base):
    """Of `ReferenceStore.forget`."""

    @pytest.fixture
    def history(self, store: Store) -> Store:
        """A store with a history of four files."""
        harvest(store, FILES, SCENE)
        return store

    @clause("ReferenceStore.forget", "Remove at most `query.limit` of the references that match")
    @pytest.mark.parametrize(
        "query",
        [
            Query(path="/etc/1"),
            Query(path_prefix="/etc"),
            Query(pod=OTHER.name),
            Query(until_ns=20),
            Query(since_ns=20, until_ns=30),
            Query(md5=bytes(16)),
            Query(md5=FILES[2].content.md5),
            Query(metadata=Metadata({"none": "such"})),
            Query(latest=True),
            Query(path="/none"),
            Query(until_ns=0),
            Query(path_prefix=""),
            Query(metadata=Metadata({"app": "web", "zone": "a"})),
            Query(pod=OTHER.name, until_ns=30, order=Order.NEWEST_FIRST),
        ],
        ids=str,
    )
    def test_forget_removes_what_matches_and_nothing_else(self, history: Store, query: Query) -> None:
        before = listing(history)
        gone = matching(before, query)
        assert history.forget(query) == len(gone)
        assert listing(history) == [one for one in before if one not in gone]

    @clause("ReferenceStore.forget", "the first ones in the query's order")
    @pytest.mark.parametrize("order", list(Order))
    def test_forget_removes_the_first_ones_up_to_the_limit(self, history: Store, order: Order) -> None:
        before = matching(listing(history), Query(order=order))
        assert history.forget(Query(order=order, limit=5)) == 5
        assert matching(listing(history), Query(order=order)) == before[5:]

    @clause("ReferenceStore.forget", "Returns how many were removed; 0 when none is left.")
    def test_forgetting_again_and_again_ends_with_zero(self, history: Store) -> None:
        counts: list[int] = []
        while (count := history.forget(Query(limit=4))) > 0 and len(counts) <= len(SCENE):
            counts.append(count)
        assert sum(counts) == len(SCENE)
        assert all(0 < count <= 4 for count in counts)
        assert listing(history) == []
        assert history.forget(Query()) == 0

    @clause("ReferenceStore.forget", "A signature that no reference names any more is no")
    def test_a_signature_without_references_is_no_longer_known(self, history: Store) -> None:
        signatures = [file.signature for file in FILES]
        history.forget(Query(path="/etc/1", until_ns=30))
        assert FILES[1].signature in history.known(signatures)
        history.forget(Query(path="/etc/1"))
        assert history.known(signatures) == {file.signature: file.content for file in FILES if file is not FILES[1]}
        assert FILES[1].signature not in {one.signature for one in walk_files(history, Query())}
        with pytest.raises(UnknownContent) as caught:
            history.record({}, [FILES[1].seen(50)])
        assert caught.value.signatures == {FILES[1].signature}

    @clause("ReferenceStore.forget", "longer known")
    def test_a_forgotten_signature_may_come_back_with_other_content(self, store: Store) -> None:
        first, second = map(content_of, COLLIDING)
        signature = Signature("/bin/tool", first.md5)
        for content, data in zip((first, second), COLLIDING, strict=True):
            store.put(content, [data])
            store.record({signature: content}, [Reference(signature, WEB, Metadata(), 1)])
            assert store.known([signature]) == {signature: content}
            assert store.forget(Query()) == 1

    @clause("ReferenceStore.forget", "Contents stay")
    def test_forgetting_leaves_contents(self, history: Store) -> None:
        history.forget(Query())
        for file in FILES:
            assert has_data(history, file)

    @clause("ReferenceStore.forget", "Remove at most `query.limit` of the references that match")
    def test_what_was_forgotten_can_be_recorded_again(self, history: Store) -> None:
        history.forget(Query())
        harvest(history, FILES, SCENE)
        assert set(listing(history)) == set(SCENE)
        assert len(listing(history)) == len(SCENE)

    @clause("ReferenceStore.record", "Record references, and the content of their signatures")
    def test_what_is_recorded_has_nothing_of_what_was_forgotten_before(self, store: Store) -> None:
        put(store, *FILES)
        stays = FILES[3].seen(1, Pod("stays", "here"), Metadata({"stays": "here"}))
        for number, (gone, comes) in enumerate(AFTER_EACH_OTHER):
            before = [stays] * (number % 2)  # every other time nothing stays
            store.record(dict(CONTENTS), [*before, *gone])
            assert store.forget(Query(since_ns=2)) == len(gone)
            store.record(dict(CONTENTS), [*before, *comes])
            _assert_only_those_are_there(store, [*before, *comes], [*gone, *comes, stays])
            store.forget(Query())

    @clause("ReferenceStore.newest", "The newest reference of those timelines that have any")
    def test_forgetting_the_newest_makes_the_one_before_the_newest(self, history: Store) -> None:
        timeline = FILES[1].seen().timeline
        assert history.newest([timeline]) == {timeline: FILES[1].seen(30)}
        history.forget(Query(path="/etc/1", since_ns=30))
        assert history.newest([timeline]) == {timeline: FILES[1].seen(10)}
        assert FILES[1].seen(10) in walk(history, Query(latest=True))
        history.forget(Query(path="/etc/1"))
        assert history.newest([timeline]) == {}


def _assert_only_those_are_there(store: Store, there: list[Reference], named: list[Reference]) -> None:
    """Asked by every field of all that are named, a store gives those that are there, as they are, and no others."""
    there = sorted(there, key=lambda one: one.observed_at_ns)
    assert listing(store) == there
    queries = {Query(metadata=Metadata({key: value})) for one in named for key, value in one.metadata.items()}
    for one in named:
        queries |= {Query(path=one.signature.path, latest=True), Query(pod=one.pod.name), Query(md5=one.signature.md5)}
        queries.add(Query(namespace=one.pod.namespace, since_ns=one.observed_at_ns))
    for query in queries:
        expected = matching(there, query)
        assert walk(store, query) == expected, query
        assert walk_files(store, query) == summaries(expected, CONTENTS), query
    signatures = {one.signature for one in there if not one.signature.is_removal}
    assert store.known({one.signature for one in named}) == {one: CONTENTS[one] for one in signatures}
    assert store.newest({one.timeline for one in named}) == newest(there)
