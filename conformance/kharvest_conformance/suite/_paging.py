"""Pages and cursors: every item once, whatever happens between two pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kharvest.spi import Capability, InvalidCursor, Metadata, Order, Pod, Query, Reference, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._model import matching, summaries
from kharvest_conformance._place import Place
from kharvest_conformance._samples import OTHER, WEB, File, Sample, removed
from kharvest_conformance._walks import file_pages, reference_pages, walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing

FILES = tuple(File(f"/etc/{number % 5}", Sample(10, number)) for number in range(10))
TAG = Metadata({"even": "yes"})
SCENE = tuple(
    file.seen(at, pod, TAG if number % 2 else Metadata())
    for number, file in enumerate(FILES)
    for pod in (WEB, OTHER)
    for at in (10, 20)
)
QUERIES = (
    Query(),
    Query(latest=True),
    Query(metadata=TAG),
    Query(path="/etc/3"),
    Query(path_prefix="/etc/"),
    Query(pod=WEB.name),
    Query(since_ns=20),
    Query(until_ns=20, latest=True),
)


class PagingTests(Base):
    """Of pages of references and of files, and of their cursors."""

    @pytest.fixture
    def crowd(self, store: Store) -> Store:
        """A store with many references of equal times."""
        harvest(store, FILES, SCENE)
        return store

    @clause("ReferenceStore.references", "Following the cursors gives every reference that")
    @pytest.mark.parametrize("order", list(Order))
    @pytest.mark.parametrize("limit", [1, 3, len(SCENE) - 1, len(SCENE), len(SCENE) + 1])
    def test_pages_have_neither_gaps_nor_repeats(self, crowd: Store, limit: int, order: Order) -> None:
        everything = listing(crowd)
        for query in QUERIES:
            asked = replace(query, limit=limit, order=order)
            assert walk(crowd, asked) == matching(everything, asked), asked

    @thorough
    @clause("ReferenceStore.files", "One page of summaries of the files that matching references name")
    @pytest.mark.parametrize("limit", [1, 3, len(FILES) - 1, len(FILES), len(FILES) + 1])
    def test_pages_of_files_have_neither_gaps_nor_repeats(self, crowd: Store, limit: int) -> None:
        everything = listing(crowd)
        contents = {file.signature: file.content for file in FILES}
        for query in QUERIES:
            asked = replace(query, limit=limit)
            assert walk_files(crowd, asked) == summaries(matching(everything, asked), contents), asked

    @clause("values.Query", "limit: the most items on the page, 1 to MAX_PAGE.")
    def test_a_page_has_no_more_than_the_limit(self, crowd: Store) -> None:
        for limit in (1, 2, 7, 1000):
            assert len(crowd.references(Query(limit=limit)).items) <= limit
            assert len(crowd.files(Query(limit=limit)).items) <= limit

    @clause("values.Page", "None when there was nothing more at the time of the call.")
    def test_the_last_page_has_no_cursor(self, crowd: Store) -> None:
        for limit in (len(SCENE), len(SCENE) + 1):
            page = crowd.references(Query(limit=limit))
            assert page.next_cursor is None or len(page.items) < len(SCENE)
        for limit in (len(FILES), len(FILES) + 1):
            summaries_page = crowd.files(Query(limit=limit))
            assert summaries_page.next_cursor is None or len(summaries_page.items) < len(FILES)
        assert crowd.references(Query(path="/none")).next_cursor is None
        assert crowd.files(Query(path="/none")).next_cursor is None
        assert crowd.references(Query(limit=1)).next_cursor is not None
        assert crowd.files(Query(limit=1)).next_cursor is not None

    @thorough
    @clause("ReferenceStore.references", "stays there, exactly once, whatever is recorded meanwhile.")
    @pytest.mark.parametrize("order", list(Order))
    @pytest.mark.parametrize("limit", [4])
    def test_a_walk_gives_what_stays_exactly_once_whatever_is_written_meanwhile(
        self, crowd: Store, limit: int, order: Order
    ) -> None:
        query = Query(limit=limit, order=order)
        before = matching(listing(crowd), query)
        doomed = {one for one in before if one.signature.path == "/etc/4"}
        given: list[Reference] = []
        for number, page in enumerate(reference_pages(crowd, query)):
            given += page
            new = File(f"/new/{number}", Sample(5, number))
            times = (0, 10, 15, 20, 30) if number < 30 else ()  # ends: else a walk towards new ones never would
            harvest(crowd, [new], [new.seen(at, pod) for at in times for pod in (Pod("a", ""), Pod("z", ""))])
            if number == 2:
                crowd.forget(Query(path="/etc/4"))
        assert len(set(given)) == len(given), "a reference was given twice"
        staying = [one for one in before if one not in doomed]
        assert [one for one in given if one in staying] == staying
        times_given = [one.observed_at_ns for one in given]
        assert times_given == sorted(times_given, reverse=order is Order.NEWEST_FIRST)

    @thorough
    @clause("ReferenceStore.files", "by path and MD5, ascending by code point")
    @pytest.mark.parametrize("limit", [1, 3])
    def test_a_walk_through_files_gives_what_stays_exactly_once(self, crowd: Store, limit: int) -> None:
        before = [one.signature for one in walk_files(crowd, Query())]
        given = []
        for number, page in enumerate(file_pages(crowd, Query(limit=limit))):
            given += [one.signature for one in page]
            if number < 20:
                new = [File(f"{top}{number}", Sample(5, number)) for top in ("/a/", "/etc/", "/z/")]
                harvest(crowd, new, [file.seen(1) for file in new])
                crowd.record({}, [removed(f"/etc/{number % 5}", 100 + number)])
        assert given == sorted(set(given), key=lambda one: (one.path, one.md5)), "not in order, or given twice"
        assert [one for one in given if one in before] == before

    @clause("values.Query", "from the `next_cursor` of the page before, with all else but the")
    def test_a_cursor_of_another_query_is_invalid(self, crowd: Store) -> None:
        cursor = crowd.references(Query(limit=1)).next_cursor
        files_cursor = crowd.files(Query(limit=1)).next_cursor
        for other in (Query(path="/etc/1"), Query(pod=WEB.name), Query(latest=True), Query(since_ns=5)):
            with pytest.raises(InvalidCursor):
                crowd.references(replace(other, cursor=cursor))
            with pytest.raises(InvalidCursor):
                crowd.files(replace(other, cursor=files_cursor))
        with pytest.raises(InvalidCursor):
            crowd.references(Query(order=Order.NEWEST_FIRST, cursor=cursor))

    @clause("ReferenceStore.references", "InvalidCursor: the cursor was not made by this store.")
    def test_a_cursor_that_no_store_made_is_invalid(self, crowd: Store) -> None:
        cursor = crowd.references(Query(limit=1)).next_cursor
        assert cursor is not None
        for broken in ("x", "0", "null", "e30", "W10", cursor[:-4], cursor[4:], cursor * 2, "\U0001f600", "a" * 9999):
            with pytest.raises(InvalidCursor):
                crowd.references(Query(cursor=broken))
            with pytest.raises(InvalidCursor):
                crowd.files(Query(cursor=broken))

    @clause("ReferenceStore.files", "nor was one of another query, or of the other method")
    def test_a_cursor_of_references_is_none_of_files(self, crowd: Store) -> None:
        cursor, files_cursor = crowd.references(Query(limit=1)).next_cursor, crowd.files(Query(limit=1)).next_cursor
        with pytest.raises(InvalidCursor):
            crowd.files(Query(cursor=cursor))
        with pytest.raises(InvalidCursor):
            crowd.references(Query(cursor=files_cursor))

    @clause("values.Query", "limit: the most items on the page, 1 to MAX_PAGE.")
    def test_the_limit_may_change_from_page_to_page(self, crowd: Store) -> None:
        everything = listing(crowd)
        first = crowd.references(Query(limit=3))
        assert [*first.items, *walk(crowd, Query(limit=2, cursor=first.next_cursor))] == everything
        assert [*first.items, *walk(crowd, Query(limit=1000, cursor=first.next_cursor))] == everything
        files = crowd.files(Query(limit=3))
        rest = walk_files(crowd, Query(limit=1000, cursor=files.next_cursor))
        assert [*files.items, *rest] == walk_files(crowd, Query())

    @clause("ReferenceStore.references", "The order is total and the same for every page")
    def test_a_cursor_still_works_where_its_reference_was_forgotten(self, crowd: Store) -> None:
        everything = listing(crowd)
        page = crowd.references(Query(limit=5))
        gone = crowd.forget(Query(limit=max(1, len(page.items))))
        assert walk(crowd, Query(limit=5, cursor=page.next_cursor)) == everything[gone:]

    @clause("values.Query", "cursor: where the page starts", needs=Capability.SHARED)
    def test_a_cursor_works_in_another_handle(self, place: Place) -> None:
        store = place.open()
        harvest(store, FILES, SCENE)
        everything = listing(store)
        page = store.references(Query(limit=7))
        assert walk(place.open(), Query(limit=7, cursor=page.next_cursor)) == everything[len(page.items) :]

    @clause("values.Query", "cursor: where the page starts", needs=Capability.DURABLE)
    def test_a_cursor_works_after_reopening(self, place: Place) -> None:
        store = place.open()
        harvest(store, FILES, SCENE)
        everything = listing(store)
        page = store.references(Query(limit=7))
        assert walk(place.reopen(), Query(limit=7, cursor=page.next_cursor)) == everything[len(page.items) :]
