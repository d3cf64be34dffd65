"""Cursors: of which query they are, what a changed one is worth, and how long they last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace

import pytest

from kharvest.spi import (
    REMOVED,
    Capability,
    FileSummary,
    InvalidCursor,
    Metadata,
    Order,
    Page,
    Query,
    Reference,
    Store,
    encode_cursor,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._model import matching, summaries
from kharvest_conformance._place import Place
from kharvest_conformance._samples import OTHER, WEB, File, Sample, contents_by_signature, removed
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing

FILES = tuple(File(f"/etc/{number}", Sample(10, number % 2)) for number in range(4))
CONTENTS = contents_by_signature(FILES)
TAG = Metadata({"app": "web", "web": "app"})
SCENE = (
    *(file.seen(at, pod, TAG) for file in FILES for pod in (WEB, OTHER) for at in (10, 20)),
    *(removed(file.path, 15, pod, TAG) for file in FILES for pod in (WEB, OTHER)),
)
QUERIES = (
    Query(),
    Query(path_prefix=""),
    Query(path_prefix="/"),
    Query(path_prefix="/etc"),
    Query(path_prefix="/etc/"),
    Query(namespace="shop"),
    Query(metadata=Metadata({"app": "web"})),
    Query(metadata=Metadata({"web": "app"})),
    Query(metadata=TAG),
    Query(since_ns=0),
    Query(since_ns=1),
    Query(until_ns=30),
    Query(until_ns=31),
    Query(since_ns=1, until_ns=30),
    Query(latest=True),
    Query(latest=True, until_ns=30),
    Query(latest=True, namespace="shop"),
    Query(md5=FILES[0].content.md5),
    Query(md5=FILES[1].content.md5),
    Query(md5=FILES[1].content.md5, namespace="shop"),
    Query(pod=WEB.name),
    Query(pod=OTHER.name),
)
"""Each differs from several others in one field, and has more than one page of references and of files."""

OTHER_WALKS = 510
"""Some search engines keep 500 walks open, and let the one that waits longest go."""

STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def tampered(cursor: str) -> Iterator[str]:
    """A cursor with each character changed, left out or doubled, cut off, wrapped, and in other alphabets."""
    for at, character in enumerate(cursor):
        number = STANDARD.find(character)
        other = STANDARD[number ^ 1] if number >= 0 else "A"
        yield f"{cursor[:at]}{other}{cursor[at + 1 :]}"
        yield f"{cursor[:at]}{character.swapcase() if character.isalpha() else '~'}{cursor[at + 1 :]}"
        yield cursor[:at] + cursor[at + 1 :]
        yield cursor[:at]
    for text in (" ", "\n", "=", "==", "A", "AA", "\t", "\ufeff", "\u00a0", "\u0660", ",", ".", "%3D", "\r\n"):
        yield text + cursor
        yield cursor + text
        yield f"{cursor[:5]}{text}{cursor[5:]}"
    yield cursor.encode().hex()
    yield f'"{cursor}"'
    yield cursor[::-1]
    yield cursor.translate({ord(one): ord(one) + 0xFEE0 for one in STANDARD if one.isalnum()})  # full width
    yield from ("", "0", "-1", "null", "[]", "' OR 1=1 --", "%", "1e999", "9" * 5000, "W" * 40_000)


FORGED: tuple[tuple[int | str, ...], ...] = (
    (),
    *((number,) * count for number in (2**63, -(2**63) - 1, 2**64, 10**400, -1) for count in range(1, 6)),
    *((text,) * count for text in ("", "zz", "\0", "' OR 1=1", "\u00e9", "0" * 9999) for count in range(1, 6)),
    *(mixed[:count] for mixed in (("x", 1, "x", 1, "x"), (2**70, "x", 1, "", -1)) for count in range(1, 6)),
)
"""Positions that no store has, for those who take a cursor's parts as they come."""


def neighbours(query: Query) -> list[int]:
    """Which of the queries differ from one in a single field."""
    names = [one.name for one in fields(Query)]
    differing = [sum(getattr(query, name) != getattr(other, name) for name in names) for other in QUERIES]
    return [number for number, count in enumerate(differing) if count == 1]


def cursor_of(page: Page[Reference] | Page[FileSummary]) -> str:
    """The cursor of a page that is not the last."""
    assert page.next_cursor is not None
    return page.next_cursor


@thorough
class CursorTests(Base):
    """Of `Query.cursor` and `Page.next_cursor`."""

    @pytest.fixture
    def paged(self, store: Store) -> Store:
        """A store in which every one of the queries has several pages."""
        harvest(store, FILES, SCENE)
        return store

    @clause("ReferenceStore.references", "One that was changed, if only in one character, was not")
    def test_a_cursor_that_was_changed_is_invalid(self, paged: Store) -> None:
        reads: tuple[Callable[[Query], object], ...] = (paged.references, paged.files)
        for query in (Query(limit=1), Query(limit=1, latest=True)):
            for read, cursor in zip(
                reads, (cursor_of(paged.references(query)), cursor_of(paged.files(query))), strict=True
            ):
                for changed in tampered(cursor):
                    if changed != cursor:
                        with pytest.raises(InvalidCursor):
                            read(replace(query, cursor=changed))
                read(replace(query, cursor=cursor))

    @clause("values.Query", "with all else but the")
    def test_a_cursor_is_of_one_query_whatever_differs(self, paged: Store) -> None:
        cursors = [cursor_of(paged.references(replace(query, limit=1))) for query in QUERIES]
        files_cursors = [cursor_of(paged.files(replace(query, limit=1))) for query in QUERIES]
        for number, query in enumerate(QUERIES):
            paged.references(replace(query, cursor=cursors[number]))
            paged.files(replace(query, cursor=files_cursors[number]))
            for other in neighbours(query):
                with pytest.raises(InvalidCursor):
                    paged.references(replace(query, cursor=cursors[other]))
                with pytest.raises(InvalidCursor):
                    paged.files(replace(query, cursor=files_cursors[other]))
            with pytest.raises(InvalidCursor):
                paged.references(replace(query, cursor=cursors[number], order=Order.NEWEST_FIRST))
            with pytest.raises(InvalidCursor):
                paged.references(replace(query, cursor=files_cursors[number]))
            with pytest.raises(InvalidCursor):
                paged.files(replace(query, cursor=cursors[number]))

    @clause("ReferenceStore.files", "InvalidCursor: the cursor was not made by this store")
    def test_a_forged_position_does_no_more_than_be_invalid(self, paged: Store) -> None:
        for position in FORGED:
            for query in (Query(limit=3), Query(limit=3, latest=True, order=Order.NEWEST_FIRST)):
                asked = replace(query, cursor=encode_cursor(query, *position))
                for read in (paged.references, paged.files):
                    try:
                        page = read(asked)
                    except InvalidCursor:
                        continue
                    assert len(page.items) <= 3, position
        assert set(listing(paged)) == set(SCENE)

    @clause("values.Query", "limit: the most items on the page")
    def test_every_limit_gives_the_same_walk(self, paged: Store) -> None:
        everything = listing(paged)
        for query in (Query(), Query(latest=True), Query(md5=REMOVED)):
            for order in Order:
                expected = matching(everything, replace(query, order=order))
                files = summaries(expected, CONTENTS)
                for limit in range(1, len(expected) + 2, 1 if len(expected) < 10 else 3):
                    asked = replace(query, order=order, limit=limit)
                    assert walk(paged, asked) == expected, asked
                for limit in range(1, len(files) + 2):
                    asked = replace(query, order=order, limit=limit)
                    assert walk_files(paged, asked) == files, asked

    @clause("values.Query", "and when what it stood at is gone")
    def test_a_cursor_outlives_what_it_stood_at(self, paged: Store) -> None:
        everything = listing(paged)
        for order in Order:
            query = Query(order=order, limit=3)
            page = paged.references(query)
            rest = matching(everything, query)[len(page.items) :]
            files = paged.files(query)
            files_rest = summaries(everything, CONTENTS)[len(files.items) :]
            asked, files_asked = (replace(query, cursor=one.next_cursor) for one in (page, files))
            paged.forget(Query(order=order, limit=3))
            kept = set(listing(paged))
            assert walk(paged, asked) == [one for one in rest if one in kept], (
                "some were forgotten, and others are missing"
            )
            paged.forget(Query(path=FILES[0].path))
            left = {one.signature for one in listing(paged)}
            assert [one.signature for one in walk_files(paged, files_asked)] == [
                one.signature for one in files_rest if one.signature in left
            ]
            while paged.forget(Query(limit=1000)):
                pass
            assert walk(paged, asked) == []
            assert walk_files(paged, files_asked) == []
            harvest(paged, FILES, SCENE)
            everything = listing(paged)
            found = walk(paged, asked)
            assert found == [one for one in matching(everything, query) if one in set(found)], "not in order"
            found_files = walk_files(paged, files_asked)
            assert found_files == [one for one in summaries(everything, CONTENTS) if one in found_files]

    @clause("values.Query", "where the page starts")
    def test_a_cursor_works_again_and_after_many_others(self, paged: Store) -> None:
        query = Query(limit=3)
        page, files = paged.references(query), paged.files(replace(query, limit=1))
        for number in range(OTHER_WALKS):
            for read in (paged.references, paged.files):
                assert cursor_of(read(Query(limit=1, until_ns=1000 + number)))
        for _again in range(2):
            rest = walk(paged, replace(query, cursor=cursor_of(page)))
            assert [*page.items, *rest] == listing(paged), "a cursor is gone, or has moved on"
            rest_files = walk_files(paged, replace(query, limit=1, cursor=cursor_of(files)))
            assert [*files.items, *rest_files] == summaries(listing(paged), CONTENTS)

    @clause("values.Query", "and when what it stood at is gone")
    def test_a_cursor_behind_all_that_is_left_finds_nothing(self, paged: Store) -> None:
        everything = listing(paged)
        for order in Order:
            query = Query(order=order, limit=len(everything) // 2)
            page, files = paged.references(query), paged.files(replace(query, limit=2))
            asked, files_asked = (replace(query, cursor=cursor_of(one)) for one in (page, files))
            passed = [one for one in page.items if one.observed_at_ns != page.items[-1].observed_at_ns]
            passed_files = {one.signature for one in files.items}
            for left in (passed, [one for one in everything if one.signature in passed_files]):
                while paged.forget(Query(limit=1000)):
                    pass
                harvest(paged, FILES, left)
                found = walk(paged, asked) if left is passed else walk_files(paged, files_asked)
                assert found == [], "all is gone from where it stood on, and it begins again"
            harvest(paged, FILES, SCENE)

    @clause("values.Query", "It works in every handle, after reopening", needs=Capability.DURABLE)
    def test_cursors_of_every_query_work_after_reopening(self, place: Place) -> None:
        store = place.open()
        harvest(store, FILES, SCENE)
        everything = listing(store)
        asked = [replace(query, limit=3, order=order) for query in QUERIES for order in Order]
        pages = [(store.references(query), store.files(replace(query, limit=1))) for query in asked]
        store = place.reopen()
        for query, (page, files) in zip(asked, pages, strict=True):
            expected = matching(everything, query)
            assert [*page.items, *walk(store, replace(query, cursor=cursor_of(page)))] == expected, query
            rest = walk_files(store, replace(query, cursor=cursor_of(files)))
            assert [*files.items, *rest] == summaries(expected, CONTENTS), query
