"""Pages, lists and cursors that were asked for before what somebody, perhaps another handle, has written since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from kharvest.spi import (
    NO_METADATA,
    REMOVED,
    Capability,
    Metadata,
    Order,
    Page,
    Pod,
    Query,
    Reference,
    Store,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._model import matching, newest, summaries
from kharvest_conformance._place import Place
from kharvest_conformance._samples import OTHER, WEB, File, Sample, contents_by_signature, removed
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, put

FILES = tuple(File(f"/etc/{number}", Sample(20, number % 2)) for number in range(3))
LATER = File("/etc/later", Sample(21))
CONTENTS = contents_by_signature((*FILES, LATER))
TAG = Metadata({"app": "web"})
PODS = (WEB, OTHER, Pod("other", "web-0"))
SCENE = tuple(
    file.seen(100 * (1 + turn) + 10 * number + which, pod, TAG if turn else NO_METADATA)
    for turn in range(2)
    for number, file in enumerate(FILES)
    for which, pod in enumerate(PODS)
)
"""No two of one time: their order is known."""
QUERIES = tuple(
    replace(query, limit=6)
    for query in (
        Query(),
        Query(order=Order.NEWEST_FIRST),
        Query(latest=True),
        Query(latest=True, pod="web-0"),
        Query(latest=True, until_ns=215, order=Order.NEWEST_FIRST),
        Query(latest=True, metadata=TAG, path_prefix="/etc/"),
        Query(pod="web-1"),
        Query(namespace="other"),
        Query(path="/etc/1"),
        Query(md5=FILES[1].content.md5, since_ns=110),
        Query(md5=REMOVED),
        Query(metadata=TAG, order=Order.NEWEST_FIRST),
        Query(until_ns=205, namespace="shop"),
    )
)


@dataclass(slots=True)
class _History:
    """What is there, a write at a time."""

    there: list[Reference] = field(default_factory=list)
    stored: set[File] = field(default_factory=set)

    def add(self, *references: Reference) -> None:
        """Note what was recorded."""
        self.there = sorted({*self.there, *references}, key=lambda one: one.observed_at_ns)

    def writes(self, store: Store) -> Iterator[str]:
        """Make each kind of write; gives its name when it has returned."""
        harvest(store, FILES, SCENE)
        self.stored.update(FILES)
        self.add(*SCENE)
        yield "the first record"
        newer = [FILES[1].seen(300, WEB), FILES[0].seen(299, PODS[2], TAG)]
        store.record({}, newer)
        self.add(*newer)
        yield "a record of newer ones"
        older = [FILES[1].seen(50, WEB, TAG), FILES[2].seen(155, OTHER), removed("/etc/1", 105, OTHER)]
        store.record({}, older)
        self.add(*older)
        yield "a record of older ones"
        self.add(*store.append({}, [FILES[1].seen(7, WEB), FILES[0].seen(400, OTHER, TAG)]))
        yield "an append"
        gone = [removed("/etc/0", 302, PODS[2]), removed("/etc/2", 303, WEB), removed("/etc/2", 304, OTHER)]
        store.record({}, gone)
        self.add(*gone)
        yield "a record of removals"
        put(store, LATER)
        self.stored.add(LATER)
        yield "a put"
        store.record({LATER.signature: LATER.content}, [LATER.seen(310, pod, TAG) for pod in PODS[:1]])
        self.add(LATER.seen(310, WEB, TAG))
        yield "a record of a new file"
        for query in (
            Query(path="/etc/1", limit=2),
            Query(md5=REMOVED, order=Order.NEWEST_FIRST, limit=1),
            Query(metadata=TAG, latest=True),
        ):
            doomed = matching(self.there, query)[: query.limit]
            assert store.forget(query) == len(doomed)
            self.there = [one for one in self.there if one not in doomed]
            yield f"a forget by {query}"
        store.discard([LATER.content.sha256])
        self.stored.discard(LATER)
        yield "a discard"


@thorough
class RereadingTests(Base):
    """An answer that was given before is not given again when somebody has written."""

    @clause("store", "Calls that come at once take effect in some order.")
    def test_what_was_asked_before_is_answered_anew_after_each_write(self, store: Store) -> None:
        _assert_answered_anew(store, store)

    @clause("Capability", "each sees what the others have written", needs=Capability.SHARED)
    def test_what_was_asked_before_is_answered_anew_after_each_write_of_another_handle(self, place: Place) -> None:
        _assert_answered_anew(place.open(), place.open())

    @clause("values.Query", "It works in every handle", needs=Capability.SHARED)
    def test_walks_change_from_handle_to_handle_at_each_page(self, place: Place) -> None:
        handles = [place.open(), place.open()]
        harvest(handles[0], FILES, SCENE)
        there = list(SCENE)
        for query in QUERIES:
            expected = matching(there, query)
            assert _taking_turns([one.references for one in handles], query) == expected, query
            found = _taking_turns([one.files for one in handles], replace(query, limit=1))
            assert found == summaries(expected, CONTENTS), query


def _assert_answered_anew(writer: Store, reader: Store) -> None:
    """After each write every question has another answer than before, if it should have."""
    history = _History()
    cursors: dict[tuple[str, Query], tuple[Query, Reference]] = {}
    for number, write in enumerate(history.writes(writer)):
        questions = list(_questions(reader, history, cursors))
        turn = 3 * number % len(questions)  # each time another question is the first one
        for what, ask, expected in (*questions[turn:], *questions[:turn]):
            assert ask() == expected, f"{what} after {write}"
        cursors = _cursors({"its own": reader, "the other's": writer}, QUERIES[number % 2 :: 2])


def _questions(
    store: Store, history: _History, cursors: dict[tuple[str, Query], tuple[Query, Reference]]
) -> Iterator[tuple[str, Callable[[], object], object]]:
    """Every question of a reader, with what it must answer."""
    there = history.there
    files = [*FILES, LATER]
    named = {one.signature for one in there if not one.signature.is_removal}
    last = newest(there)
    timelines = list({one.timeline for one in (*SCENE, LATER.seen())})
    signatures = [file.signature for file in files]
    stored = {file.content.sha256: file.content for file in history.stored}
    yield "newest of many", lambda: store.newest(timelines), {one: last[one] for one in timelines if one in last}
    for one in timelines[::5]:
        yield "newest of one", partial(store.newest, [one]), {one: last[one]} if one in last else {}
    yield "known of many", lambda: store.known(signatures), {one: CONTENTS[one] for one in named}
    yield "present", lambda: store.present([file.content.sha256 for file in files]), stored
    yield "contents", lambda: list(store.contents()), [stored[one] for one in sorted(stored)]
    for query in QUERIES:
        expected = matching(there, query)
        yield f"references of {query}", partial(walk, store, query), expected
    for query in QUERIES[::2]:
        asked = replace(query, limit=2)
        expected_files = summaries(matching(there, query), CONTENTS)
        yield f"files of {asked}", partial(walk_files, store, asked), expected_files
    for (whose, query), (asked, passed) in cursors.items():
        forwards = query.order is Order.OLDEST_FIRST
        rest = [
            one
            for one in matching(there, query)
            if (one.observed_at_ns > passed.observed_at_ns) is forwards and one.observed_at_ns != passed.observed_at_ns
        ]
        yield f"a cursor of {whose} of {query}", partial(walk, store, asked), rest


def _cursors(stores: dict[str, Store], queries: tuple[Query, ...]) -> dict[tuple[str, Query], tuple[Query, Reference]]:
    """Where the second pages begin, and what each has before it."""
    found = {}
    for number, query in enumerate(queries):
        whose = list(stores)[number % len(stores)]
        page = stores[whose].references(query)
        if page.next_cursor is not None and page.items:
            asked = replace(query, cursor=page.next_cursor)
            stores[whose].references(asked)
            found[whose, query] = (asked, page.items[-1])
    return found


def _taking_turns(reads: list[Callable[[Query], Page[object]]], query: Query) -> list[object]:
    """A walk of which each page is read by the next handle."""
    found: list[object] = []
    for _page in range(1000):
        read = reads[0]
        reads = [*reads[1:], read]
        page = read(query)
        found += page.items
        if page.next_cursor is None:
            break
        query = replace(query, cursor=page.next_cursor)
    return found
