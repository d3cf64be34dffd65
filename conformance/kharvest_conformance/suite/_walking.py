"""Walks while others write at every place, of every kind of query; and what a look gives and leaves as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from kharvest.spi import (
    REMOVED,
    Content,
    FileSummary,
    Metadata,
    Order,
    Page,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    Timeline,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._model import matching, newest, summaries
from kharvest_conformance._samples import OTHER, WEB, File, Sample, contents_by_signature, removed
from kharvest_conformance._walks import file_pages, reference_pages, walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing

A, A2, B, C = (
    File("/b/a", Sample(9, 1)),
    File("/b/a", Sample(9, 2)),
    File("/b/b", Sample(9, 1)),
    File("/b/c", Sample(9, 2)),
)
DOOMED = File("/b/doomed", Sample(9, 1))
FILES = (A, A2, B, C, DOOMED)
CONTENTS = contents_by_signature(FILES)
TAG, OTHER_TAG = Metadata({"app": "web"}), Metadata({"app": "db"})
SCENE = (
    *(file.seen(at, pod, TAG) for file in (A, B, C) for pod in (WEB, OTHER) for at in (20, 30, 40)),
    *(A2.seen(at, WEB, OTHER_TAG) for at in (20, 35, 41)),
    *(DOOMED.seen(at, pod, TAG) for pod in (WEB, OTHER) for at in (20, 40)),
    removed(C.path, 42, OTHER, TAG),
)
WALKED = (
    Query(),
    Query(path_prefix="/b/"),
    Query(metadata=TAG),
    Query(namespace="shop", since_ns=20),
    Query(md5=Sample(9, 1).content.md5, until_ns=41),
)
GIVEN = (
    *WALKED,
    *(replace(query, latest=True) for query in WALKED),
    Query(path=A.path),
    Query(pod=OTHER.name),
    Query(md5=REMOVED),
    Query(latest=True, until_ns=36, order=Order.NEWEST_FIRST),
)


def written(page: int) -> list[Reference]:
    """What others record after a page: before, at and behind every place of the walk, in timelines of their own."""
    return [
        File(f"{top}{page}", Sample(9, 1)).seen(at, Pod("shop", name), TAG)
        for top in ("/b/", "/b/b", "/b/zz")
        for at, name in ((19, "a"), (20, "a"), (20, "z"), (30, "a"), (35, "z"), (40, "a"), (40, "z"), (43, "a"))
    ]


def fields(one: Reference | FileSummary | Content) -> Iterator[tuple[object, type]]:
    """The parts of an item, with the type that each is promised to have."""
    if isinstance(one, Content):
        yield from ((one.sha256, bytes), (one.md5, bytes), (one.size, int))
        return
    yield from ((one.signature, Signature), (one.signature.path, str), (one.signature.md5, bytes))
    if isinstance(one, FileSummary):
        yield from ((one.content, Content), (one.pods, int), (one.first_seen_ns, int), (one.last_seen_ns, int))
        yield from fields(one.content)
        return
    yield from (
        (one.pod, Pod),
        (one.pod.namespace, str),
        (one.pod.name, str),
        (one.pod.uid, str),
        (one.metadata, Metadata),
    )
    yield from ((text, str) for pair in one.metadata.items() for text in pair)
    yield (one.observed_at_ns, int)


@thorough
class WalkingTests(Base):
    """Of walks through `references` and `files` that others write into, and of what their pages are."""

    @pytest.fixture
    def changing(self, store: Store) -> Store:
        """A store with a little of everything."""
        harvest(store, FILES, SCENE)
        return store

    @clause("ReferenceStore.references", "stays there, exactly once, whatever is recorded meanwhile.")
    @pytest.mark.parametrize("order", list(Order))
    def test_walks_of_every_kind_give_what_stays_exactly_once(self, changing: Store, order: Order) -> None:
        for number, query in enumerate(WALKED):
            asked = replace(query, order=order, limit=2 + number % 2)
            before = matching(listing(changing), asked)
            given: list[Reference] = []
            cursor = None
            for step in range(3):
                page = changing.references(replace(asked, cursor=cursor))
                given, cursor = [*given, *page.items], page.next_cursor
                references = written(number * 3 + step)
                changing.record({one.signature: A.content for one in references}, references)
                if step == 1:
                    changing.forget(Query(path=DOOMED.path, order=order, limit=1))
                if cursor is None:
                    break
            else:
                given += walk(changing, replace(asked, cursor=cursor, limit=1000))  # a longer page, to save time
            assert len(set(given)) == len(given), f"a reference was given twice: {asked}"
            staying = [one for one in before if one.signature.path != DOOMED.path]
            assert [one for one in given if one in set(staying)] == staying, asked
            times = [one.observed_at_ns for one in given]
            assert times == sorted(times, reverse=order is Order.NEWEST_FIRST), asked
            assert all(matching([one], query) for one in given), asked

    @clause("ReferenceStore.references", "Following the cursors gives every reference that")
    @pytest.mark.parametrize("order", list(Order))
    def test_a_walk_through_the_latest_gives_what_stays_newest_exactly_once(
        self, changing: Store, order: Order
    ) -> None:
        for number, query in enumerate(
            (Query(), Query(path_prefix="/b"), Query(metadata=TAG), Query(namespace="shop"))
        ):
            asked = replace(query, latest=True, order=order, limit=1 + number % 2)
            before = matching(listing(changing), asked)
            given: list[Reference] = []
            for page, items in enumerate(reference_pages(changing, asked)):
                given += items
                if page < 2:  # what was given, what comes, and others get something newer
                    at = 100 + number * 10 + page
                    changing.record(
                        {}, [A.seen(at, WEB, TAG), B.seen(at, OTHER, TAG), C.seen(at, Pod("shop", "n"), TAG)]
                    )
            staying = [one for one in before if (one.pod, one.signature.path) not in ((WEB, A.path), (OTHER, B.path))]
            assert [one for one in given if one in set(staying) and one.pod in (WEB, OTHER)] == [
                one for one in staying if one.pod in (WEB, OTHER)
            ], asked
            assert len(set(given)) == len(given), f"a reference was given twice: {asked}"

    @clause("ReferenceStore.files", "there at the start, and stays there, exactly once.")
    def test_walks_through_files_of_every_kind_give_what_stays_exactly_once(self, changing: Store) -> None:
        for number, query in enumerate(WALKED):
            asked = replace(query, limit=1 + number % 2)
            harvest(changing, [DOOMED], [DOOMED.seen(20, metadata=TAG)])
            before = [one.signature for one in walk_files(changing, asked)]
            given = []
            for page, items in enumerate(file_pages(changing, asked)):
                given += [one.signature for one in items]
                if page < 3:
                    changing.record({}, [file.seen(21 + page, Pod("shop", f"n{number}"), TAG) for file in (A, B, C)])
                    references = written(number * 3 + page)[::3]
                    changing.record({one.signature: A.content for one in references}, references)
                if page == 0:
                    changing.forget(Query(path=DOOMED.path))
            assert given == sorted(set(given), key=lambda one: (one.path, one.md5)), f"out of order, or twice: {asked}"
            staying = [one for one in before if one.path != DOOMED.path]
            assert [one for one in given if one in staying] == staying, asked

    @clause("values.Page", "`next_cursor` is where the next page starts, a text that is not empty")
    def test_pages_and_what_is_on_them_are_of_the_promised_types(self, changing: Store) -> None:
        pages: list[Page[Reference] | Page[FileSummary]] = []
        for query in (*GIVEN, *(replace(query, limit=2) for query in GIVEN)):
            pages += [changing.references(query), changing.files(query)]
        for page in pages:
            assert isinstance(page, Page)
            assert isinstance(page.items, tuple)
            assert page.next_cursor is None or isinstance(page.next_cursor, str)
            assert page.next_cursor != "", "an empty text is not a cursor"
            _assert_of_promised_types(*page.items)

    @clause("store", "What a method returns is of the type that its signature says")
    def test_what_is_looked_up_and_appended_is_of_the_promised_types(self, changing: Store) -> None:
        timelines = {one.timeline for one in listing(changing)}
        newest_ones, known = changing.newest(timelines), changing.known(CONTENTS.keys())
        assert isinstance(newest_ones, dict)
        assert newest_ones.keys() == timelines
        assert isinstance(known, dict)
        appended = changing.append({}, [removed(A.path, 2**40, WEB), removed(A.path, 1, WEB)])
        assert isinstance(appended, list)
        _assert_of_promised_types(*newest_ones.values(), *known.values(), *appended)

    @clause("store", "A read changes nothing.")
    def test_reading_changes_nothing(self, changing: Store) -> None:
        everything = listing(changing)
        files = summaries(everything, CONTENTS)
        for query in GIVEN:
            for limit in (1, 1000):
                first = changing.references(replace(query, limit=limit))
                first_files = changing.files(replace(query, limit=limit))
                assert changing.references(replace(query, limit=limit)).items == first.items, query
                assert changing.files(replace(query, limit=limit)).items == first_files.items, query
        strangers = [Timeline(Pod("none", "such"), A.path), Timeline(WEB, "/none")]
        assert changing.newest(strangers) == {}
        assert changing.known([Signature("/none", A.content.md5), Signature(A.path, REMOVED)]) == {}
        assert walk(changing, Query(namespace="none", path="/none")) == []
        assert listing(changing) == everything
        assert walk_files(changing, Query()) == files
        assert changing.newest({one.timeline for one in everything}) == newest(everything)
        assert changing.known(CONTENTS.keys()) == CONTENTS


def _assert_of_promised_types(*items: Reference | FileSummary | Content) -> None:
    for item in items:
        for value, kind in fields(item):
            assert type(value) is kind or (isinstance(value, kind) and kind is not int), f"{value!r} in {item}"
        assert hash(item) == hash(replace(item))
