"""Every restriction of a query with every other: alone, in pairs, in threes, and all that can be at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from random import Random
from typing import Any

import pytest

from kharvest.spi import MAX_PAGE, NO_METADATA, REMOVED, Metadata, Order, Pod, Query, Reference, Signature, Store
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._model import matching, summaries
from kharvest_conformance._samples import File, Sample, contents_by_signature
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing

SAMPLES = (Sample(10, 1), Sample(10, 2))
PATHS = ("/etc/app/a", "/etc/app/b", "/etc/app/a/b", "/etc/app", "/Etc/app/a", "/srv/etc/app/a")
PODS = (
    *(Pod(namespace, name) for namespace in ("shop", "far", "Shop", "") for name in ("web-0", "web-1", "shop", "")),
    *(Pod(namespace, name, uid) for namespace, name, uid in (("shop", "web-0", "u1"), ("far", "web-0", "u1"))),
)
TAGS = (
    NO_METADATA,
    Metadata({"color": "red"}),
    Metadata({"color": "red", "size": "L"}),
    Metadata({"color": "red", "size": "S"}),
    Metadata({"color": "L", "size": "red"}),
)
TIMES = (10, 20, 30, 40, 40, 50, 60, 70)
FILES = tuple(File(path, sample) for path in PATHS for sample in SAMPLES)
CONTENTS = contents_by_signature(FILES)

Restrictions = Mapping[str, Any]

RESTRICTIONS: tuple[Restrictions, ...] = (
    {"path": PATHS[0]},
    {"path_prefix": "/etc/app/"},
    {"md5": SAMPLES[0].content.md5},
    {"md5": REMOVED},
    {"namespace": "shop"},
    {"pod": "web-0"},
    {"uid": ""},
    {"metadata": TAGS[1]},
    {"metadata": TAGS[2]},
    {"since_ns": 40},
    {"until_ns": 60},
)


def combined(count: int) -> Iterator[Restrictions]:
    """Every combination of so many restrictions that one query can have."""
    for chosen in combinations(RESTRICTIONS, count):
        fields = {name for one in chosen for name in one}
        if len(fields) == count and not {"path", "path_prefix"} <= fields:
            yield {name: value for one in chosen for name, value in one.items()}


def queries(*counts: int) -> Iterator[Query]:
    """Every combination of so many restrictions, without `latest` and with it."""
    for count in counts:
        for restrictions in combined(count):
            for latest in (False, True):
                yield Query(**restrictions, latest=latest)


def scene() -> list[Reference]:
    """Many timelines whose histories differ, so that what matches stands beside what nearly does."""
    draw = Random(7)  # noqa: S311  # a test of ours sees that every restriction of every combination matters
    md5s = [*(sample.content.md5 for sample in SAMPLES), REMOVED]
    references = [
        Reference(Signature(path, draw.choice(md5s)), pod, draw.choice(TAGS), at)
        for path in PATHS
        for pod in PODS
        for at in sorted(draw.choices(TIMES, k=draw.randint(1, 5)))
    ]
    references += near_misses()
    draw.shuffle(references)
    return references


def near_misses() -> list[Reference]:
    """A reference that has all that the restrictions ask for, one of a removal, and those that lack one thing."""
    found = []
    for md5 in (SAMPLES[0].content.md5, REMOVED):
        whole = Reference(Signature(PATHS[0], md5), PODS[0], TAGS[2], 50)
        found += [
            whole,
            *(replace(whole, signature=Signature(path, md5)) for path in PATHS[1:]),
            replace(whole, signature=Signature(PATHS[0], SAMPLES[1].content.md5)),
            *(replace(whole, pod=pod) for pod in PODS[1:]),
            *(replace(whole, metadata=tag) for tag in TAGS if tag != TAGS[2]),
            *(replace(whole, observed_at_ns=at) for at in (39, 40, 59, 60)),
        ]
    return found


def one_timeline() -> list[Reference]:
    """A single long history, with several references of each time."""
    md5s = [*(sample.content.md5 for sample in SAMPLES), REMOVED]
    pod = Pod("shop", "web-0")
    return [
        Reference(Signature(PATHS[0], md5s[(number * 7 + at) % 3]), pod, TAGS[(number * 3 + at) % 5], at * 10)
        for at in range(1, 9)
        for number in range(6)
    ]


@thorough
class CombiningTests(Base):
    """Of `Query`, with several restrictions at once."""

    @pytest.fixture
    def everything(self, store: Store) -> list[Reference]:
        """The listing of a store where every combination of restrictions tells something."""
        harvest(store, FILES, scene())
        return listing(store)

    @clause("ReferenceStore.references", "One page of the references that match.")
    def test_any_two_restrictions_hold_together(self, store: Store, everything: list[Reference]) -> None:
        for query in queries(0, 1, 2):
            for order in Order:
                asked = replace(query, order=order)
                assert walk(store, asked) == matching(everything, asked), asked

    @clause("ReferenceStore.references", "One page of the references that match.")
    def test_three_and_more_restrictions_hold_together(self, store: Store, everything: list[Reference]) -> None:
        for number, query in enumerate(queries(3)):
            asked = replace(query, order=list(Order)[number // 2 % 2])
            assert walk(store, asked) == matching(everything, asked), asked
        for query in list(queries(4, 5, 6, 7))[::7]:  # some of them, to save time
            assert walk(store, query) == matching(everything, query), query

    @clause("ReferenceStore.files", "One page of summaries of the files that matching references name")
    def test_summaries_are_of_what_any_restrictions_match(self, store: Store, everything: list[Reference]) -> None:
        asked = [*queries(0, 1, 2), *list(queries(3))[::3]]
        for query in asked:
            assert walk_files(store, query) == summaries(matching(everything, query), CONTENTS), query

    @clause("values.Query", "limit: the most items on the page, 1 to MAX_PAGE.")
    def test_pages_go_on_under_any_two_restrictions(self, store: Store, everything: list[Reference]) -> None:
        for number, query in enumerate(queries(0, 1, 2)):
            asked = replace(query, order=list(Order)[number // 2 % 2])
            expected = matching(everything, asked)
            files = summaries(expected, CONTENTS)
            limit = max(1, len(expected) - 1 - number % 3)
            assert walk(store, replace(asked, limit=limit)) == expected, (asked, limit)
            limit = max(1, len(files) - 1)
            assert walk_files(store, replace(asked, limit=limit)) == files, (asked, limit)

    @clause("ReferenceStore.forget", "Remove at most `query.limit` of the references that match")
    def test_forget_removes_what_any_two_restrictions_match(self, store: Store, everything: list[Reference]) -> None:
        left = everything
        for number, query in enumerate(queries(1, 2)):
            asked = replace(query, order=list(Order)[number // 2 % 2], limit=1 + number % 3)
            doomed = set(matching(left, asked)[: asked.limit])
            assert store.forget(asked) == len(doomed), asked
            left = [one for one in left if one not in doomed]
            if number % 5 == 0:
                assert listing(store) == left, asked
        assert listing(store) == left
        contents = {one.signature: CONTENTS[one.signature] for one in left if not one.signature.is_removal}
        assert store.known(CONTENTS.keys()) == contents

    @clause("ReferenceStore.forget", "As many are removed as match, up to the limit.")
    def test_forget_removes_no_more_than_any_two_restrictions_match(
        self, store: Store, everything: list[Reference]
    ) -> None:
        for query in queries(2):
            if not query.latest:
                doomed = matching(everything, query)
                assert store.forget(replace(query, limit=MAX_PAGE)) == len(doomed), query
                named = {one.signature for one in doomed if not one.signature.is_removal}
                store.record({signature: CONTENTS[signature] for signature in named}, doomed)
        assert set(listing(store)) == set(everything)

    @clause("values.Query", "before `until_ns` and before `md5` and `metadata` restrict")
    def test_any_restrictions_hold_within_one_timeline(self, store: Store) -> None:
        harvest(store, FILES[:2], [*one_timeline(), *(replace(one, pod=PODS[1]) for one in one_timeline()[::9])])
        everything = listing(store)
        for at_ns in range(91):
            for latest in (True, False) if at_ns % 10 == 0 else (True,):
                query = Query(until_ns=at_ns, latest=latest)
                assert walk(store, query) == matching(everything, query), query
        for query in queries(2, 3):
            if query.path is not None or query.pod is not None:
                assert walk(store, query) == matching(everything, query), query
