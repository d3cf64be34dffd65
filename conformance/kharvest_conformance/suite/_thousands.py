"""Batches at their limits: as many items, and as many bytes, as one call may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from kharvest.spi import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    MAX_PAGE,
    MAX_PATH_BYTES,
    FileSummary,
    Metadata,
    Order,
    Pod,
    Query,
    Reference,
    Store,
    Timeline,
)
from kharvest_conformance._clauses import clause, promise, thorough
from kharvest_conformance._samples import WEB, File, Sample, contents_by_signature, removed
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import listing, put

Item = TypeVar("Item")

TODAY = 1_764_000_000_123_456_789
BODY = Sample(30)
SHARED = File("/thousands/held/by/all", BODY)
BUSY = File("/thousands/busy", BODY)
TWICE = File("/thousands/twice", BODY)
PODS = tuple(Pod("thousands", f"pod-{number}") for number in range(2500))
OWN = tuple(File(f"/thousands/of/files/{number}", BODY) for number in range(3500))
TIMES = range(TODAY, TODAY + 3000)

HELD = tuple(SHARED.seen(TODAY, pod, Metadata({"pod": pod.name, "app": "web"})) for pod in PODS)
HISTORY = tuple(BUSY.seen(at) for at in reversed(TIMES))
FILES_OF_ONE = tuple(file.seen(TODAY) for file in OWN)
AGAIN = (TWICE.seen(TODAY),) * (MAX_BATCH - len(HELD) - len(HISTORY) - len(FILES_OF_ONE))
BATCH = tuple(one for some in (HELD, HISTORY, FILES_OF_ONE, AGAIN) for one in some)
FILES = contents_by_signature((SHARED, BUSY, TWICE, *OWN))

PIECES = (4097, 5001)
"""Batches whose last piece has one item, in pieces of a power of two or of so many hundreds, and is short in pieces of
any other usual length: in one of these at least, and in both together."""

RARE = File(BUSY.path, Sample(31))
_RARELY = Metadata({"app": "web", "rare": "yes"})
ENDS = (RARE.seen(TODAY - 1, WEB, _RARELY), RARE.seen(TIMES[-1] + 1, WEB, _RARELY))
BEHIND = tuple(
    Query(limit=len(ENDS), **restrictions)
    for restrictions in (
        {"pod": WEB.name, "metadata": Metadata({"app": "web"})},
        {"namespace": WEB.namespace, "metadata": Metadata({"app": "web"})},
        {"path": BUSY.path, "metadata": Metadata({"app": "web"})},
        {"path_prefix": "/thousands/", "md5": RARE.content.md5},
        {"pod": WEB.name, "md5": RARE.content.md5},
        {"metadata": Metadata({"rare": "yes"})},
    )
)
"""Each restriction alone matches thousands, and all of a query two references."""

_LONG = "d" * (MAX_PATH_BYTES - 6)
LONG_PATHS = tuple(
    File(f"/{_LONG}/{number:04}", BODY) for number in range((MAX_BATCH_BYTES // 2) // (MAX_PATH_BYTES + 100))
)
"""Paths as long as may be: with all that stands beside them, in `files` and in `references`, they fill one call."""


@thorough
class ThousandsTests(Base):
    """Of the limits of one call."""

    @clause("store", "A batch holds 0 to MAX_BATCH items")
    def test_a_batch_of_the_most_items_is_recorded_whole(self, store: Store) -> None:
        put(store, SHARED)
        assert len(BATCH) == MAX_BATCH
        store.record(dict(FILES), list(BATCH))
        store.record({}, list(BATCH[::-1]))
        found = listing(store)
        assert len(found) == len(set(BATCH)), "a reference is there twice, or is not there"
        assert set(found) == set(BATCH)

        _assert_looked_up_by_thousands(store)

        summary = FileSummary(SHARED.signature, SHARED.content, len(PODS), TODAY, TODAY)
        assert walk_files(store, Query(path=SHARED.path)) == [summary]
        assert walk_files(store, Query(path=BUSY.path)) == [
            FileSummary(BUSY.signature, BUSY.content, 1, TIMES[0], TIMES[-1])
        ]
        for reference in (HELD[0], HELD[1], HELD[-1]):
            assert walk(store, Query(metadata=reference.metadata)) == [reference]
        found_files = walk_files(store, Query(path_prefix="/thousands/of/files/", limit=MAX_PAGE))
        assert [one.signature for one in found_files] == sorted(file.signature for file in OWN)
        _assert_found_behind_thousands(store)
        assert store.forget(Query(limit=MAX_PAGE)) == len(found)

    @clause("ReferenceStore.append", "each after those before it in `references`")
    def test_thousands_are_appended_and_forgotten_at_once(self, store: Store) -> None:
        put(store, SHARED)
        pods = PODS[:2000]
        first = [SHARED.seen(TODAY, pod, Metadata({"pod": pod.name})) for pod in pods]
        busy = [BUSY.seen(TODAY - number) for number in range(2000)]
        recorded = store.append(dict(FILES), [*first, *busy])
        expected = [*first, *(BUSY.seen(TODAY + number) for number in range(len(busy)))]
        assert len(recorded) == len(expected)
        assert recorded == expected, "thousands of references of one timeline do not come one after the other"
        gone = [removed(SHARED.path, TODAY - number % 2, pod) for number, pod in enumerate(pods)]
        assert store.append({}, gone) == [removed(SHARED.path, TODAY + 1, pod) for pod in pods]
        newest = {one.timeline: removed(SHARED.path, TODAY + 1, one.pod) for one in first}
        assert store.newest(newest.keys()) == newest

        assert store.forget(Query(path=SHARED.path, latest=True, order=Order.NEWEST_FIRST, limit=MAX_PAGE)) == len(gone)
        assert store.newest(newest.keys()) == {one.timeline: one for one in first}
        assert store.forget(Query(path=BUSY.path, order=Order.NEWEST_FIRST, limit=len(busy) - 1)) == len(busy) - 1
        assert store.newest([busy[0].timeline]) == {busy[0].timeline: BUSY.seen(TODAY)}
        assert set(listing(store)) == {*first, BUSY.seen(TODAY)}
        assert store.forget(Query(limit=MAX_PAGE)) == len(first) + 1
        assert listing(store) == []
        assert store.known([SHARED.signature, BUSY.signature]) == {}
        assert store.newest([*newest, busy[0].timeline]) == {}

    @clause("store", "A batch holds 0 to MAX_BATCH items")
    def test_no_item_is_lost_between_the_pieces_of_a_batch(self, store: Store) -> None:
        put(store, SHARED)
        recorded = PIECES[0]
        files = [File(f"/pieces/{number}", BODY) for number in range(sum(PIECES))]
        contents = {file.signature: file.content for file in files}
        named = list(contents.items())
        references = [file.seen(TODAY) for file in files]
        store.record(dict(named[:recorded]), references[:recorded])
        answer = store.append(dict(named[recorded:]), references[recorded:])
        _assert_all(dict.fromkeys(answer), dict.fromkeys(references[recorded:]), "append")
        _assert_all(dict.fromkeys(listing(store)), dict.fromkeys(references), "record and append")
        keys = [f"piece/{number}".encode() for number in range(max(PIECES))]
        for count in (*PIECES, sum(PIECES)):
            some = dict(named[-count:])
            _assert_all(store.known(list(some)), some, f"known of {count}")
            newest = {one.timeline: one for one in references[-count:]}
            _assert_all(store.newest(list(newest)), newest, f"newest of {count}")
        for count in PIECES:
            taken = dict.fromkeys(keys[:count])
            _assert_all(dict.fromkeys(store.claim(keys[:count], "one", 1, 100)), taken, f"claim of {count}")
            assert store.claim(keys[:count], "other", 1, 100) == set(), f"of {count} keys some are not held"
            store.release(keys[:count], "one")
            _assert_all(dict.fromkeys(store.claim(keys[:count], "other", 1, 100)), taken, f"release of {count}")
            store.release(keys[:count], "other")

        beyond = [File(f"/pieces/{number}", BODY) for number in range(sum(PIECES), MAX_PAGE + 2)]
        store.record({file.signature: file.content for file in beyond}, [file.seen(TODAY) for file in beyond])
        references += [file.seen(TODAY) for file in beyond]
        _assert_all(dict.fromkeys(walk(store, Query(limit=MAX_PAGE))), dict.fromkeys(references), "more than a page")
        summarised = dict.fromkeys(one.signature for one in walk_files(store, Query(limit=MAX_PAGE)))
        _assert_all(summarised, dict.fromkeys(one.signature for one in references), "more files than a page")

    @clause("store", "in strings and bytes of at most MAX_BATCH_BYTES together")
    def test_a_batch_of_the_most_bytes_is_recorded_whole(self, store: Store) -> None:
        put(store, SHARED)
        files = {file.signature: file.content for file in LONG_PATHS}
        references = [file.seen(TODAY, WEB) for file in LONG_PATHS]
        store.record(files, references)
        assert store.known(files.keys()) == files
        newest = {one.timeline: one for one in references}
        assert store.newest(newest.keys()) == newest
        appended = store.append(files, [removed(file.path) for file in LONG_PATHS])
        assert [one.observed_at_ns for one in appended] == [TODAY + 1] * len(LONG_PATHS)
        assert store.forget(Query(path_prefix=f"/{_LONG}", limit=MAX_PAGE)) == 2 * len(LONG_PATHS)
        assert store.known(files.keys()) == {}


def _assert_all(found: Mapping[Item, object], expected: Mapping[Item, object], what: str) -> None:
    missing = [one for one in expected if one not in found]
    assert not missing, f"{what}: {len(missing)} of {len(expected)} are lost, the first is {missing[0]!r}"
    assert len(found) == len(expected), f"{what}: there are more than there should be"
    assert all(found[one] == expected[one] for one in expected), f"{what}: one is another"


def _assert_found_behind_thousands(store: Store) -> None:
    """What one restriction alone would find among thousands, and two find twice, at the very ends."""
    put(store, RARE)
    for restricted in BEHIND:
        store.record({RARE.signature: RARE.content}, list(ENDS))
        for order, expected in ((Order.OLDEST_FIRST, ENDS), (Order.NEWEST_FIRST, ENDS[::-1])):
            query = replace(restricted, order=order)
            assert walk(store, query) == list(expected), query
        assert [one.signature for one in walk_files(store, restricted)] == [RARE.signature], restricted
        with promise("ReferenceStore.forget", "As many are removed as match, up to the limit."):
            assert store.forget(restricted) == len(ENDS), restricted


def _assert_looked_up_by_thousands(store: Store) -> None:
    """As many hits as a call may ask for, and hits among as many misses."""
    strangers = [File(f"/thousands/of/strangers/{number}", BODY).signature for number in range(MAX_BATCH)]
    room = MAX_BATCH - len(FILES)
    assert store.known({*FILES, *strangers[:room]}) == FILES
    few = dict(list(FILES.items())[:: len(FILES) // 3])
    assert store.known([*strangers[: MAX_BATCH - len(few)], *few]) == few

    newest: dict[Timeline, Reference] = {one.timeline: one for one in (*HELD, *FILES_OF_ONE, HISTORY[0], AGAIN[0])}
    unseen = [Timeline(WEB, signature.path) for signature in strangers[: MAX_BATCH - len(newest)]]
    assert store.newest({*newest, *unseen}) == newest
    some = dict(list(newest.items())[:: len(newest) // 3])
    others = [Timeline(pod, BUSY.path) for pod in PODS] + [Timeline(pod, SHARED.path[:-1]) for pod in PODS]
    assert store.newest([*others, *some]) == some
