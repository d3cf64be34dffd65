"""Times in queries at their real magnitudes: nanoseconds of today, and both ends of the range."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kharvest.spi import MAX_TIME_NS, FileSummary, Metadata, Order, Query, Reference, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._model import matching, newest, summaries
from kharvest_conformance._samples import OTHER, WEB, File, Sample, contents_by_signature, removed
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing

A, A2, B = File("/etc/a", Sample(10, 1)), File("/etc/a", Sample(10, 2)), File("/etc/b", Sample(10, 1))
FILES = (A, A2, B)
CONTENTS = contents_by_signature(FILES)
TAG = Metadata({"app": "web"})
TODAY = 1_764_086_400_123_456_788
"""A time of 2025 in nanoseconds: a double has steps of 256 there."""
TIMES = (
    *(0, 1, 999, 1000),
    *(2**31, 2**32, 2**53 - 1, 2**53, 2**53 + 1),
    *(TODAY - 1, TODAY, TODAY + 1, TODAY + 2, TODAY + 212, TODAY + 1000),
    *(4 * 10**18 + number * (10**9 - 2) + 7 for number in range(4)),  # seconds that no signed 32 bits hold
    *(MAX_TIME_NS - 1, MAX_TIME_NS),
)
SCENE = tuple(
    reference
    for number, at in enumerate(TIMES)
    for reference in (
        (A, A2)[number % 2].seen(at, WEB, (TAG, Metadata())[number // 2 % 2]),
        removed(B.path, at, OTHER) if number % 4 == 3 else B.seen(at, OTHER, TAG),
    )
)


@thorough
class BoundingTests(Base):
    """Of `since_ns`, `until_ns` and the order of times."""

    @pytest.fixture
    def ages(self, store: Store) -> list[Reference]:
        """The listing of a store that has references of all times."""
        harvest(store, FILES, SCENE[::-1])
        return listing(store)

    @clause("ReferenceStore.references", "The order is total and the same for every page: by time")
    def test_times_that_differ_by_a_nanosecond_are_told_apart(self, store: Store, ages: list[Reference]) -> None:
        assert [one.observed_at_ns for one in ages] == [at for at in TIMES for _pod in (WEB, OTHER)]
        assert set(ages) == set(SCENE)
        for order in Order:
            for limit in (1, 2, 3):
                query = Query(limit=limit, order=order)
                assert walk(store, query) == matching(ages, query), query

    @clause("values.Query", "since_ns: earliest time, inclusive.")
    def test_since_and_until_count_every_nanosecond(self, store: Store, ages: list[Reference]) -> None:
        bounds = sorted({min(MAX_TIME_NS, max(0, at + step)) for at in TIMES for step in (-1, 0, 1)})
        for number, at in enumerate(bounds):
            order = list(Order)[number % 2]
            for query in (
                Query(since_ns=at, order=order),
                Query(until_ns=at, order=order),
                Query(since_ns=at, until_ns=at),
                Query(since_ns=at, until_ns=min(MAX_TIME_NS, at + 1)),
                Query(since_ns=max(0, at - 2), until_ns=at, path_prefix="/etc"),
            ):
                assert walk(store, query) == matching(ages, query), query

    @clause("values.Query", "until_ns: latest time, exclusive.")
    def test_the_ends_of_time_are_bounds_like_others(self, store: Store, ages: list[Reference]) -> None:
        for latest in (False, True):
            for bounds in (
                {"since_ns": 0},
                {"until_ns": 0},
                {"since_ns": 0, "until_ns": 0},
                {"since_ns": 0, "until_ns": 1},
                {"since_ns": 0, "until_ns": MAX_TIME_NS},
                {"until_ns": MAX_TIME_NS},
                {"since_ns": MAX_TIME_NS},
                {"since_ns": MAX_TIME_NS, "until_ns": MAX_TIME_NS},
                {"since_ns": MAX_TIME_NS - 1, "until_ns": MAX_TIME_NS},
            ):
                for restrictions in ({}, {"pod": OTHER.name}, {"path": A.path}, {"metadata": TAG}):
                    query = Query(**bounds, **restrictions, latest=latest)  # type: ignore[arg-type]
                    assert walk(store, query) == matching(ages, query), query
                query = Query(**bounds, latest=latest)  # type: ignore[arg-type]
                assert walk_files(store, query) == summaries(matching(ages, query), CONTENTS), query

    @clause("values.Query", "so it tells what pods held at that time")
    def test_latest_at_any_nanosecond_tells_what_pods_held(self, store: Store, ages: list[Reference]) -> None:
        for at in TIMES:
            for until_ns in {at, min(MAX_TIME_NS, at + 1)}:
                held = newest([one for one in ages if one.observed_at_ns < until_ns])
                assert set(walk(store, Query(latest=True, until_ns=until_ns))) == set(held.values()), until_ns
                query = Query(latest=True, until_ns=until_ns, md5=A.content.md5)
                assert walk(store, query) == matching(ages, query), query

    @clause("values.FileSummary", "observed in those.")
    def test_summaries_have_every_nanosecond_of_the_first_and_last_time(
        self, store: Store, ages: list[Reference]
    ) -> None:
        assert walk_files(store, Query(path=B.path)) == [FileSummary(B.signature, B.content, 1, 0, MAX_TIME_NS)]
        for at in TIMES:
            for query in (Query(since_ns=at), Query(until_ns=at), Query(since_ns=max(0, at - 1), until_ns=at)):
                for asked in (query, replace(query, path=B.path), replace(query, latest=True)):
                    assert walk_files(store, asked) == summaries(matching(ages, asked), CONTENTS), asked
