"""Queries over thousands: whole pages, long walks, exact counts, and few matches among many references."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from typing import Any

from kharvest.spi import MAX_PAGE, NO_METADATA, FileSummary, Metadata, Order, Pod, Query, Reference, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._model import matching, summaries
from kharvest_conformance._samples import File, Sample, contents_by_signature
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import listing, put

PODS = 2100
VERSIONS = 1100
HOLDERS = 4100
PATHS = 1010
SHARED = File("/etc/shared", Sample(10, 1))
RARE = File("/etc/shared", Sample(10, 2))
LONG = (File("/var/long", Sample(10, 1)), File("/var/long", Sample(10, 2)))
MANY = tuple(File(f"/opt/{number:04}", Sample(10, 1)) for number in range(PATHS))
CONTENTS = contents_by_signature((SHARED, RARE, *LONG, *MANY))
TAG = Metadata({"rare": "yes"})
AT_ONCE = 1000
"""The time that all pods have in common: ties longer than most pages."""


def pod(number: int) -> Pod:
    """One of the crowd."""
    return Pod("crowd", f"p{number:05}")


def many_pods(count: int) -> list[Reference]:
    """One file in thousands of pods, seen at one time. A few have metadata, and a few another version, too."""
    few = (0, 7, count // 2, count - 1)
    references = [SHARED.seen(AT_ONCE, pod(number), TAG if number in few else NO_METADATA) for number in range(count)]
    references += [RARE.seen(AT_ONCE + 1, pod(number)) for number in few]
    references += [SHARED.seen(AT_ONCE - 1, pod(number)) for number in range(0, count, 100)]
    return references


def one_history() -> list[Reference]:
    """One timeline that changes a thousand times between two versions. The first and one in the middle are tagged."""
    tagged = (0, VERSIONS // 2)
    return [
        LONG[number % 2].seen(2000 + number, Pod("long", "p"), TAG if number in tagged else NO_METADATA)
        for number in range(VERSIONS)
    ]


def recorded(store: Store, references: list[Reference]) -> list[Reference]:
    """Record thousands in one batch; their listing."""
    put(store, SHARED, RARE)
    named = {one.signature for one in references}
    store.record({signature: CONTENTS[signature] for signature in named}, references)
    everything = listing(store)
    assert len(everything) == len(references)
    assert set(everything) == set(references)
    return everything


@thorough
class CrowdingTests(Base):
    """Of `references` and `files`, with thousands of references."""

    @clause("ReferenceStore.references", "Following the cursors gives every reference that")
    def test_thousands_of_references_are_found_each_once(self, store: Store) -> None:
        everything = recorded(store, [*many_pods(PODS), *one_history()])
        for query in (
            Query(limit=1000, order=Order.NEWEST_FIRST),
            Query(limit=MAX_PAGE, since_ns=AT_ONCE, until_ns=AT_ONCE + 1),
            Query(limit=1000, path=LONG[0].path),
            Query(latest=True, limit=MAX_PAGE),
            Query(latest=True, path=SHARED.path, limit=1050, order=Order.NEWEST_FIRST),
            Query(latest=True, until_ns=AT_ONCE + 1, namespace="crowd"),
        ):
            found = walk(store, query)
            expected = matching(everything, query)
            assert len(found) == len(expected), query
            assert found == expected, query

    @clause("ReferenceStore.references", "One page of the references that match.")
    def test_few_matches_are_found_among_thousands(self, store: Store) -> None:
        everything = recorded(store, [*many_pods(PODS), *one_history()])
        orders, limits = cycle(Order), cycle((1, 1000, 2))
        few: list[dict[str, Any]] = [
            {"metadata": TAG},
            {"metadata": TAG, "since_ns": AT_ONCE + 2},
            {"metadata": TAG, "path_prefix": "/etc/", "md5": SHARED.content.md5},
            {"md5": RARE.content.md5, "namespace": "crowd"},
            {"pod": pod(PODS - 1).name, "path": SHARED.path},
            {"md5": LONG[0].content.md5, "since_ns": 2000 + VERSIONS - 3},
        ]
        for restrictions in few:
            for asked in (Query(**restrictions), Query(**restrictions, latest=True)):
                expected = matching(everything, asked)
                for order in Order:
                    query = replace(asked, order=order, limit=next(limits))
                    assert walk(store, query) == expected[:: 1 if order is Order.OLDEST_FIRST else -1], query
                assert walk_files(store, asked) == summaries(expected, CONTENTS), asked
        query = Query(metadata=TAG, order=next(orders), limit=3)
        doomed = set(matching(everything, query)[:3])
        assert store.forget(query) == 3
        left = [one for one in everything if one not in doomed]
        gone = set(matching(left, Query(path=SHARED.path))[:2050])
        assert store.forget(Query(path=SHARED.path, limit=2050)) == 2050
        assert listing(store) == [one for one in left if one not in gone]

    @clause("values.FileSummary", "how many pods have a matching reference to it")
    def test_thousands_of_files_and_pods_are_summarised_exactly(self, store: Store) -> None:
        everything = recorded(store, [*many_pods(HOLDERS), *(file.seen(5, Pod("many", "p")) for file in MANY)])
        assert walk_files(store, Query(md5=SHARED.content.md5, path=SHARED.path)) == [
            FileSummary(SHARED.signature, SHARED.content, HOLDERS, AT_ONCE - 1, AT_ONCE)
        ]
        for query in (
            Query(limit=MAX_PAGE),
            Query(limit=500, path_prefix="/opt/", latest=True),
            Query(limit=1000, namespace="many"),
            Query(namespace="crowd", until_ns=AT_ONCE + 1),
        ):
            assert walk_files(store, query) == summaries(matching(everything, query), CONTENTS), query
