"""`references` and `newest`: what a query restricts, and what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st

from kharvest.spi import REMOVED, Metadata, Order, Pod, Query, Reference, Store, Timeline
from kharvest_conformance import _strategies as strategies
from kharvest_conformance._clauses import clause, thorough
from kharvest_conformance._depth import Depth
from kharvest_conformance._model import matching, newest
from kharvest_conformance._place import Places
from kharvest_conformance._samples import OTHER, WEB, File, Sample, removed
from kharvest_conformance._strategies import NASTY, VERSIONS
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing

A = File("/etc/a", Sample(10, 1))
A2 = File("/etc/a", Sample(10, 2))
B = File("/etc/b", Sample(10, 3))
DEEP = File("/etc/a/deep", Sample(10, 4))
BLUE, RED = Metadata({"color": "blue"}), Metadata({"color": "red", "size": "L"})
FAR = Pod("far", WEB.name)

SCENE = (
    A.seen(10, WEB, BLUE),
    B.seen(20, WEB, BLUE),
    A.seen(20, OTHER, RED),
    A2.seen(30, WEB, RED),
    DEEP.seen(40, FAR),
    A.seen(40, FAR, Metadata({"color": "blue", "size": "M"})),
    removed("/etc/a", 50, OTHER, RED),
    A.seen(60, WEB),
)
FILES = (A, A2, B, DEEP)


def _ask(store: Store, query: Query) -> set[Reference]:
    found = walk(store, query)
    assert len(set(found)) == len(found), "a reference is given twice"
    return set(found)


class QueryingTests(Base):
    """Of `ReferenceStore.references`, `newest` and `Query`."""

    @pytest.fixture
    def scene(self, store: Store) -> Store:
        """A store with a few references of every kind."""
        harvest(store, FILES, SCENE)
        return store

    @clause("values.Query", "What is None or False, or has no pairs, does not restrict.")
    def test_a_query_that_asks_for_nothing_gets_everything(self, scene: Store) -> None:
        for query in (Query(), Query(path_prefix=""), Query(metadata=Metadata({})), Query(limit=10_000)):
            assert _ask(scene, query) == set(SCENE), query

    @clause("values.Query", "An empty namespace, pod or UID does: it asks for the pods that have none.")
    def test_an_empty_namespace_or_pod_asks_for_pods_that_have_none(self, scene: Store) -> None:
        nameless, no_namespace, neither = Pod("shop", ""), Pod("", "web-0"), Pod("", "")
        references = [A.seen(at, pod) for at, pod in enumerate((nameless, no_namespace, neither))]
        scene.record({}, references)
        assert _ask(scene, Query(namespace="")) == set(references[1:])
        assert _ask(scene, Query(pod="")) == {references[0], references[2]}
        assert _ask(scene, Query(namespace="", pod="")) == {references[2]}

    @clause("values.Query", "path: the exact path.")
    def test_path_restricts_to_exactly_that_path(self, scene: Store) -> None:
        assert _ask(scene, Query(path="/etc/a")) == {one for one in SCENE if one.signature.path == "/etc/a"}
        assert _ask(scene, Query(path="/etc/A")) == set()
        assert _ask(scene, Query(path="/etc/a/")) == set()

    @clause("values.Query", "path_prefix: what the path starts with, compared character by character.")
    def test_path_prefix_restricts_to_paths_that_start_so(self, scene: Store) -> None:
        for prefix in ("/", "/etc/", "/etc/a", "/etc/a/", "/etc/a/deep", "/etc/a/deeper", "/ETC", "etc"):
            expected = {one for one in SCENE if one.signature.path.startswith(prefix)}
            assert _ask(scene, Query(path_prefix=prefix)) == expected, prefix

    @thorough
    @clause("values.Query", "compared character by character")
    def test_a_path_prefix_is_no_pattern(self, store: Store) -> None:
        samples = [Sample(20, number % VERSIONS) for number in range(len(NASTY))]
        files = [
            File(f"/{text}{tail}", sample) for text, sample in zip(NASTY, samples, strict=True) for tail in ("", "/x")
        ]
        harvest(store, files, [file.seen() for file in files])
        for text in (*NASTY, "%", "_", "*", "?", "[", "\\", ".", "^", "$", "\U0010ffff", "\ud7ff"):
            prefix = f"/{text}"
            expected = {file.path for file in files if file.path.startswith(prefix)}
            found = walk(store, Query(path_prefix=prefix))
            assert {one.signature.path for one in found} == expected, prefix
            summaries = walk_files(store, Query(path_prefix=prefix))
            assert {one.signature.path for one in summaries} == expected, prefix

    @clause("values.Query", "md5: the file version's MD5; 16 zero bytes for removals.")
    def test_md5_restricts_to_that_version_and_zero_to_removals(self, scene: Store) -> None:
        assert _ask(scene, Query(md5=A2.content.md5)) == {SCENE[3]}
        assert _ask(scene, Query(md5=REMOVED)) == {SCENE[6]}
        assert _ask(scene, Query(md5=b"\xff" * 16)) == set()

    @clause("values.Query", "namespace: the pod's namespace.")
    def test_namespace_and_pod_restrict_each_for_itself(self, scene: Store) -> None:
        assert _ask(scene, Query(namespace="far")) == {one for one in SCENE if one.pod == FAR}
        assert _ask(scene, Query(pod=WEB.name)) == {one for one in SCENE if one.pod in (WEB, FAR)}
        assert _ask(scene, Query(namespace="shop", pod=WEB.name)) == {one for one in SCENE if one.pod == WEB}
        assert _ask(scene, Query(namespace="SHOP")) == set()

    @clause("values.Query", "metadata: pairs that must all be among the reference's.")
    def test_metadata_restricts_to_references_that_have_every_pair(self, scene: Store) -> None:
        several = ({"color": "red", "size": "L"}, {"color": "blue", "size": "M"}, {"color": "blue", "size": "L"})
        for pairs in (*several, {"color": "blue"}, {"size": "M"}, {"color": ""}, {"Color": "red"}):
            wanted = Metadata(pairs)
            assert _ask(scene, Query(metadata=wanted)) == {one for one in SCENE if one.metadata.matches(wanted)}, pairs

    @clause("values.Query", "since_ns: earliest time, inclusive.")
    def test_since_is_inclusive_and_until_exclusive(self, scene: Store) -> None:
        for since, until in ((20, 40), (20, 41), (21, 40), (0, 10), (0, 11), (60, 60), (60, 61), (61, 99)):
            expected = {one for one in SCENE if since <= one.observed_at_ns < until}
            assert _ask(scene, Query(since_ns=since, until_ns=until)) == expected, (since, until)

    @clause("values.Query", "latest: only the newest reference of each timeline (namespace, pod, UID, path).")
    def test_latest_gives_the_newest_of_each_timeline(self, scene: Store) -> None:
        assert _ask(scene, Query(latest=True)) == {SCENE[number] for number in (1, 4, 5, 6, 7)}

    @clause("values.Query", "before `until_ns` and before `md5` and `metadata` restrict")
    def test_latest_tells_what_pods_held_at_that_time(self, scene: Store) -> None:
        assert _ask(scene, Query(latest=True, until_ns=50)) == {SCENE[number] for number in (1, 2, 3, 4, 5)}
        assert _ask(scene, Query(latest=True, md5=A.content.md5)) == {SCENE[5], SCENE[7]}
        assert _ask(scene, Query(latest=True, md5=A2.content.md5)) == set()
        assert _ask(scene, Query(latest=True, md5=A2.content.md5, until_ns=60)) == {SCENE[3]}
        assert _ask(scene, Query(latest=True, metadata=BLUE)) == {SCENE[1], SCENE[5]}
        assert _ask(scene, Query(latest=True, since_ns=40, until_ns=60)) == {SCENE[4], SCENE[5], SCENE[6]}
        assert _ask(scene, Query(latest=True, md5=REMOVED)) == {SCENE[6]}

    @clause("ReferenceStore.references", "Ascending, or exactly reversed.")
    def test_newest_first_is_oldest_first_reversed(self, store: Store) -> None:
        references = [file.seen(at, pod) for at in (7, 3, 3, 5) for file in FILES for pod in (WEB, OTHER)]
        harvest(store, FILES, references)
        ascending = walk(store, Query())
        assert [one.observed_at_ns for one in ascending] == sorted(one.observed_at_ns for one in set(references))
        assert walk(store, Query(order=Order.NEWEST_FIRST)) == ascending[::-1]

    @clause("ReferenceStore.references", "in an order that the")
    def test_every_query_keeps_the_order_among_equal_times(self, store: Store) -> None:
        references = [file.seen(4, pod, tag) for file in FILES for pod in (WEB, OTHER, FAR) for tag in (BLUE, RED)]
        harvest(store, FILES, references[::-1])
        order = listing(store)
        for query in (
            Query(path="/etc/a"),
            Query(path_prefix="/etc/a"),
            Query(pod=WEB.name),
            Query(namespace="shop"),
            Query(metadata=BLUE),
            Query(md5=A.content.md5),
            Query(since_ns=4, until_ns=5),
            Query(latest=True),
        ):
            for direction in Order:
                asked = replace(query, order=direction)
                assert walk(store, asked) == matching(order, asked), asked

    @clause("ReferenceStore.references", "store chooses and keeps")
    def test_the_order_among_equal_times_stays_when_more_comes(self, store: Store) -> None:
        first = [File(f"/{number}", Sample(10, number)) for number in (5, 1, 9, 3)]
        more = [File(f"/{number}", Sample(10, number)) for number in (4, 0, 8, 2)]
        harvest(store, first, [file.seen(1) for file in first])
        before = listing(store)
        harvest(store, more, [file.seen(at) for file in more for at in (0, 1, 2)])
        assert [one for one in listing(store) if one in before] == before

    @clause("ReferenceStore.newest", "The newest reference of those timelines that have any")
    def test_newest_gives_the_newest_of_each_timeline(self, scene: Store) -> None:
        timelines = {one.timeline for one in SCENE}
        expected = {one.timeline: one for one in _ask(scene, Query(latest=True))}
        assert scene.newest(timelines) == expected
        strangers = [Timeline(WEB, "/etc/A"), Timeline(Pod("Shop", "web-0"), "/etc/a"), Timeline(WEB, DEEP.path)]
        assert scene.newest([*strangers, SCENE[0].timeline]) == {SCENE[0].timeline: SCENE[7]}

    @clause("ReferenceStore.newest", "the one that `latest` gives")
    def test_newest_and_latest_agree_among_equal_times(self, store: Store) -> None:
        references = [
            one for file in (A, A2) for one in (file.seen(5), file.seen(5, metadata=BLUE), file.seen(5, metadata=RED))
        ]
        references.append(removed(A.path, 5))
        harvest(store, (A, A2), references)
        order = listing(store)
        assert store.newest([references[0].timeline]) == newest(order)
        assert walk(store, Query(latest=True)) == [order[-1]]

    @clause("ReferenceStore.newest", "The newest reference of those timelines that have any")
    def test_a_late_arrival_of_an_older_reference_does_not_become_the_newest(self, store: Store) -> None:
        harvest(store, (A, A2), [A2.seen(50)])
        store.record({A.signature: A.content}, [A.seen(40)])
        assert store.newest([A.seen().timeline]) == {A.seen().timeline: A2.seen(50)}
        assert _ask(store, Query(latest=True)) == {A2.seen(50)}

    @thorough
    @clause("ReferenceStore.references", "One page of the references that match.")
    def test_any_query_gives_what_matches(self, places: Places, depth: Depth) -> None:
        tags = st.sampled_from((Metadata(), BLUE, RED, Metadata({"color": "Blue"}), Metadata({"size": "L"})))
        pods = st.sampled_from((WEB, OTHER, FAR, Pod("", ""), Pod("Shop", "web-0")))
        times = st.integers(0, 6)
        files = st.sampled_from((*FILES, File("/Etc/a", Sample(10, 1)), File("/etc/a ", Sample(10, 2))))
        sightings = st.builds(lambda file, at, pod, tag: (file, file.seen(at, pod, tag)), files, times, pods, tags)
        removals = st.builds(
            lambda file, at, pod, tag: (file, removed(file.path, at, pod, tag)), files, times, pods, tags
        )
        queries = strategies.queries(
            paths=[file.path for file in FILES],
            prefixes=["/", "/etc/", "/etc/a", "/etc/a/", "/E"],
            md5s=[REMOVED, *(file.content.md5 for file in FILES)],
            pods=[WEB, OTHER, FAR, Pod("", ""), Pod("Shop", "web-0")],
            tags=[BLUE, RED, Metadata({"color": "Blue"}), Metadata({"size": "L"})],
            times=range(8),
        )

        @depth.given(
            share=2,
            items=st.lists(st.one_of(sightings, sightings, removals), max_size=30),
            asked=st.lists(queries, min_size=1, max_size=15),
        )
        def check(items: list[tuple[File, Reference]], asked: list[Query]) -> None:
            with places.fresh() as place:
                store = place.open()
                harvest(store, {file for file, _reference in items}, [reference for _file, reference in items])
                order = listing(store)
                assert set(order) == {reference for _file, reference in items}
                for query in asked:
                    assert walk(store, query) == matching(order, query), query

        check()
