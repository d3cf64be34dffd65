"""All that a store answers of its references agrees: after each record, append and forget, in every variation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from kharvest.spi import (
    MAX_TIME_NS,
    REMOVED,
    Content,
    InvalidValue,
    Metadata,
    Order,
    Pod,
    Query,
    Reference,
    Signature,
    Store,
    UnknownContent,
)
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._model import Model, matching, newest, summaries
from kharvest_conformance._samples import OTHER, WEB, File, Sample, contents_by_signature, removed
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import listing, put

TODAY = 1_764_000_000_123_456_789
ONE, TWO = File("/etc/one", Sample(10, 1)), File("/etc/two", Sample(10, 2))
CHANGED, TWIN = File("/etc/one", Sample(10, 3)), File("/etc/twin", Sample(10, 1))
FILES = contents_by_signature((ONE, TWO, CHANGED, TWIN))
NAMELESS, FOREIGN = Pod("", ""), Pod("other", WEB.name)
RED, BLUE = Metadata({"colour": "red"}), Metadata({"colour": "blue", "size": "1"})

SCENE = (
    ONE.seen(TODAY, WEB, RED),
    ONE.seen(TODAY, WEB, BLUE),
    CHANGED.seen(TODAY, WEB),
    TWO.seen(TODAY, WEB, RED),
    TWO.seen(TODAY + 1, WEB, RED),
    TWO.seen(TODAY - 1, WEB, BLUE),
    TWIN.seen(TODAY, OTHER, BLUE),
    ONE.seen(TODAY + 1, OTHER, RED),
    ONE.seen(TODAY, FOREIGN, BLUE),
    ONE.seen(0, NAMELESS, RED),
    removed(ONE.path, TODAY + 1, NAMELESS),
    CHANGED.seen(TODAY + 2, NAMELESS, RED),
    removed(TWO.path, TODAY + 1, WEB, RED),
    removed(TWO.path, TODAY + 2, WEB),
    removed(TWIN.path, TODAY, OTHER, BLUE),
    TWIN.seen(MAX_TIME_NS, FOREIGN),
    TWIN.seen(MAX_TIME_NS - 1, FOREIGN, RED),
    removed("/never/there", TODAY, OTHER),
)
"""Ties of time in one timeline and across; files that paths, pods and metadata share; every removal with its kin."""

_BOTH = tuple(Order)
RESTRICTIONS = (
    {"path": ONE.path},
    {"path_prefix": "/etc/tw"},
    {"md5": ONE.content.md5},
    {"md5": REMOVED},
    {"path": ONE.path, "md5": CHANGED.content.md5},
    {"namespace": "other"},
    {"namespace": ""},
    {"pod": WEB.name},
    {"pod": ""},
    {"metadata": RED},
    {"metadata": Metadata({"size": "1"})},
    {"metadata": Metadata({"colour": "blue", "size": "2"})},
    {"since_ns": TODAY + 1},
    {"until_ns": TODAY},
    {"since_ns": TODAY, "until_ns": TODAY + 1},
    {"since_ns": MAX_TIME_NS},
    {"pod": WEB.name, "namespace": "shop", "metadata": RED, "since_ns": TODAY, "path_prefix": "/etc/t"},
)
"""Each by itself, then with `latest`, with both orders, and with a limit below what matches."""


@thorough
class AgreeingTests(Base):
    """Of `record`, `append` and `forget` together with every read."""

    @clause("ReferenceStore.forget", "As many are removed as match, up to the limit.")
    def test_forget_removes_what_every_query_would_give(self, store: Store) -> None:
        put(store, ONE, TWO, CHANGED)
        for number, restriction in enumerate(({}, *RESTRICTIONS)):
            for latest in (False, True):
                order = _BOTH[(number + latest) % 2]
                query = Query(**restriction, latest=latest, order=order)  # type: ignore[arg-type]
                store.record(dict(FILES), SCENE)
                before = listing(store)
                assert set(before) == set(SCENE)
                doomed = matching(before, query)
                all_but_one = len(doomed) > 1 and number % 4 < 2  # the last match stays
                asked = replace(query, limit=len(doomed) - 1) if all_but_one else query
                doomed = doomed[: asked.limit]
                assert store.forget(asked) == len(doomed), f"{asked} of {len(doomed)} matches or more"
                _assert_agree(store, [one for one in before if one not in doomed], f"after {asked}")

    @clause("ReferenceStore.forget", "the first ones in the query's order")
    def test_of_one_time_forget_removes_the_first_in_the_store_s_order(self, store: Store) -> None:
        pods = [Pod("ties", f"pod-{number * 7 % 10}") for number in range(10)]
        ties = [file.seen(TODAY, pod, tag) for pod in pods for file in (TWO, ONE) for tag in (RED, BLUE)]
        put(store, ONE, TWO, CHANGED)
        store.record(dict(FILES), ties)
        found = listing(store)
        assert len(found) == len(ties)
        for order, limit in ((Order.OLDEST_FIRST, 7), (Order.NEWEST_FIRST, 6), (Order.NEWEST_FIRST, 1)):
            expected = matching(found, Query(order=order))
            assert walk(store, Query(order=order)) == expected
            assert store.forget(Query(order=order, limit=limit)) == limit
            found = [one for one in found if one in expected[limit:]]
            assert set(listing(store)) == set(found), f"{order}: others than the first {limit} are gone"
            assert listing(store) == found, f"{order}: references of one time have changed places"
        _assert_agree(store, found, "after forgetting among references of one time")

    @clause("ReferenceStore.forget", "A signature that no reference names any more is no")
    def test_a_signature_is_known_as_long_as_any_reference_names_it(self, store: Store) -> None:
        pods = [Pod("shared", f"pod-{number}") for number in range(3)]
        put(store, ONE, TWO, CHANGED)
        references = [ONE.seen(TODAY + at, pod) for pod in pods for at in range(2)] + [TWIN.seen(TODAY)]
        store.record(dict(FILES), references)
        for pod in pods[:-1]:
            assert store.forget(Query(pod=pod.name)) == 2
            references = [one for one in references if one.pod != pod]
            _assert_agree(store, references, "after a pod of several is forgotten")
        store.record({}, [ONE.seen(TODAY + 9)])
        assert store.forget(Query(namespace="shared")) == 2
        _assert_agree(store, [TWIN.seen(TODAY), ONE.seen(TODAY + 9)], "after a pod of two is forgotten")
        assert store.forget(Query(path=ONE.path)) == 1
        _assert_agree(store, [TWIN.seen(TODAY)], "after the last pod of a path is forgotten")
        with pytest.raises(UnknownContent):
            store.record({}, [ONE.seen(TODAY)])
        store.record({ONE.signature: ONE.content}, [ONE.seen(TODAY)])
        assert store.forget(Query(path=TWIN.path)) == 1
        _assert_agree(store, [ONE.seen(TODAY)], "after the twin of a path is forgotten")

    @clause("ReferenceStore.record", "The same reference twice is one reference, in one batch or in two.")
    def test_a_reference_is_recorded_once_however_often_it_comes(self, store: Store) -> None:
        put(store, ONE, TWO, CHANGED)
        reference = ONE.seen(TODAY, WEB, BLUE)
        again = Reference(
            Signature(ONE.path, bytes(ONE.content.md5)),
            Pod("".join("shop"), "web-0"),
            Metadata({"size": "1", "colour": "blue"}),
            TODAY,
        )
        expected = {reference}
        for others in (
            [],
            [TWO.seen(TODAY)],
            [CHANGED.seen(TODAY + 1)],
            [removed(ONE.path, TODAY + 2)],
            [ONE.seen(TODAY, WEB, RED)],
            [ONE.seen(TODAY - 1, WEB, BLUE)],
            [ONE.seen(TODAY, OTHER, BLUE), ONE.seen(TODAY + 5, WEB, BLUE)],
        ):
            expected |= set(others)
            for batch in ([*others, reference], [again, *others, again]):
                store.record(dict(FILES), batch)
                store.record({}, batch[::-1])
            _assert_agree(store, expected, "after the same reference came again")
        (appended,) = store.append({}, [TWO.seen(1)])
        assert appended == TWO.seen(TODAY + 1)
        store.record({}, [TWO.seen(TODAY + 1), TWO.seen(TODAY)])
        expected |= {appended}
        _assert_agree(store, expected, "after what was appended is recorded")
        assert store.forget(Query(path=ONE.path)) == len([one for one in expected if one.signature.path == ONE.path])
        expected = {one for one in expected if one.signature.path != ONE.path}
        store.record({ONE.signature: ONE.content}, [again, reference])
        _assert_agree(store, {*expected, reference}, "after it was forgotten and recorded again")

    @clause("ReferenceStore.append", "any other gets the time of the newest plus one.")
    def test_times_one_nanosecond_apart_are_kept_and_appended_apart(self, store: Store) -> None:
        put(store, ONE, TWO, CHANGED)
        marks = (0, 10, 255, 2**31 - 1, 2**32, 2**53 - 1, 2**53, 10**18, TODAY, TODAY + 211, MAX_TIME_NS - 3)
        pods = {at: Pod("times", f"pod-{at}") for at in marks}
        expected = [ONE.seen(at, pod) for at, pod in pods.items()]
        store.record(dict(FILES), [*expected, *(CHANGED.seen(max(0, at - 1), pod) for at, pod in pods.items() if at)])
        assert store.newest([one.timeline for one in expected]) == {one.timeline: one for one in expected}
        for given, got in ((0, 1), (1, 2), (0, 3)):
            appended = store.append({}, [CHANGED.seen(at + given, pod) for at, pod in pods.items()])
            assert [one.observed_at_ns for one in appended] == [at + got for at in marks]
            assert store.newest([one.timeline for one in expected]) == {one.timeline: one for one in appended}
        for given in (0, MAX_TIME_NS):
            with pytest.raises(InvalidValue):
                store.append({}, [ONE.seen(given, pods[MAX_TIME_NS - 3])])
        for at, pod in pods.items():
            times = [one.observed_at_ns for one in walk(store, Query(pod=pod.name))]
            assert times == [*([at - 1] if at else []), at, at + 1, at + 2, at + 3]
            narrow = Query(pod=pod.name, since_ns=at + 1, until_ns=at + 2)
            assert [one.observed_at_ns for one in walk(store, narrow)] == [at + 1]
            (summary,) = walk_files(store, Query(pod=pod.name, md5=CHANGED.content.md5, since_ns=at))
            assert (summary.first_seen_ns, summary.last_seen_ns) == (at + 1, at + 3)
        for less in (3, 2):
            gone = sum(store.forget(Query(pod=pod.name, since_ns=at + less)) for at, pod in pods.items())
            assert gone == len(marks), "forget goes by times that are not exact"
            kept = {
                CHANGED.seen(at + less - 1, pod).timeline: CHANGED.seen(at + less - 1, pod) for at, pod in pods.items()
            }
            assert store.newest(kept) == kept

    @clause("ReferenceStore.append", "So what is appended last is the newest")
    def test_append_goes_by_what_is_newest_however_it_came(self, store: Store) -> None:
        model = Model()
        put(store, ONE, TWO, CHANGED)

        def record(*references: Reference) -> None:
            store.record(dict(FILES), references)
            model.record(FILES, references)
            _assert_agree(store, model.references, f"after record of {references}")

        def append(*references: Reference) -> None:
            assert store.append(dict(FILES), references) == model.append(FILES, references)
            _assert_agree(store, model.references, f"after append of {references}")

        def forget(query: Query) -> None:
            gone = matching(listing(store), query)[: query.limit]
            assert store.forget(query) == len(gone)
            model.forget(gone)
            _assert_agree(store, model.references, f"after forget of {query}")

        append(ONE.seen(TODAY))
        record(ONE.seen(TODAY - 50), CHANGED.seen(TODAY - 1, WEB, RED))
        append(CHANGED.seen(TODAY - 50))
        record(ONE.seen(TODAY + 100), ONE.seen(TODAY + 90))
        append(ONE.seen(TODAY + 95), ONE.seen(TODAY + 101), removed(ONE.path, 1))
        record(removed(ONE.path, TODAY + 104), CHANGED.seen(TODAY + 104, WEB, BLUE))
        append(ONE.seen(TODAY + 104, WEB, BLUE), TWIN.seen(TODAY), TWO.seen(1, OTHER))
        forget(Query(since_ns=TODAY + 105))
        append(CHANGED.seen(TODAY))
        forget(Query(path=ONE.path, order=Order.NEWEST_FIRST, limit=3))
        append(ONE.seen(TODAY + 2))
        forget(Query(path=ONE.path, limit=2))
        append(ONE.seen(0, WEB), ONE.seen(0, OTHER))
        forget(Query(latest=True))
        append(CHANGED.seen(1), CHANGED.seen(1, OTHER), removed(TWO.path, 0, OTHER))
        forget(Query(md5=CHANGED.content.md5))
        append(CHANGED.seen(1), ONE.seen(1))
        forget(Query())
        append(ONE.seen(7), ONE.seen(3))


def _assert_agree(store: Store, expected: Iterable[Reference], when: str) -> None:
    """Every answer tells of the same references."""
    found = listing(store)
    everything = set(expected)
    assert set(found) == everything, f"{when}: others are there than should be"
    assert len(found) == len(everything), f"{when}: a reference is given twice"
    named = {one.signature for one in everything}
    known: Mapping[Signature, Content] = {one: content for one, content in FILES.items() if one in named}
    removals = {one.signature for one in SCENE if one.signature.is_removal}
    assert store.known([*FILES, *removals]) == known, f"{when}: what is known is not what references name"
    assert walk_files(store, Query()) == summaries(found, FILES), f"{when}: the summaries tell otherwise"
    timelines = {one.timeline for one in (*SCENE, *everything)}
    assert store.newest(timelines) == newest(found), f"{when}: newest is not the last of each timeline"
    latest = Query(latest=True)
    assert walk(store, latest) == matching(found, latest), f"{when}: latest is not the last of each timeline"
