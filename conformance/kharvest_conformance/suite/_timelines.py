"""Timelines that look alike, to an encoding or a limit: each has a newest reference of its own."""

from __future__ import annotations

from kharvest.spi import (
    MAX_NAMESPACE_BYTES,
    MAX_PATH_BYTES,
    MAX_POD_BYTES,
    Pod,
    Query,
    Reference,
    Store,
    Timeline,
)
from kharvest_conformance._clauses import clause
from kharvest_conformance._samples import File, Sample, removed
from kharvest_conformance._strategies import NASTY
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing

_TODAY = 1_764_000_000_123_456_789
_MARKS = "/:|,;.-_#=+&~ \n\t\x1f\x1e\x01"
"""What somebody might join namespace, name and path with."""
_NUMERALS = ("7", "07", "7.0", "7e0", " 7")


def _alike() -> list[Timeline]:
    joined = [
        Timeline(Pod(*pod), path)
        for mark in _MARKS
        for pod, path in (
            ((f"a{mark}b", "c"), "/d"),
            (("a", f"b{mark}c"), "/d"),
            (("a", "b"), f"/c{mark}/d"),
            (("a", f"b{mark}/c"), "/d"),
            (("a", mark), "/d"),
            ((mark, "a"), "/d"),
        )
    ]
    nothing = [Timeline(Pod(*pod), "/d") for pod in (("", "ab"), ("a", "b"), ("ab", ""), ("", ""))]
    nasty = [
        timeline
        for text in (*NASTY, *_NUMERALS)
        for timeline in (
            Timeline(Pod(text, "pod"), "/path"),
            Timeline(Pod("space", text), "/path"),
            Timeline(Pod("space", "pod"), f"/{text}"),
        )
    ]
    long = [
        timeline
        for tail in ("a", "b", "A", " ", "/", "\n")
        for timeline in (
            Timeline(Pod("n" * (MAX_NAMESPACE_BYTES - 1) + tail, "pod"), "/path"),
            Timeline(Pod("space", "p" * (MAX_POD_BYTES - 1) + tail), "/path"),
            Timeline(Pod("space", "pod"), "/" + "p" * (MAX_PATH_BYTES - 2) + tail),
        )
    ]
    return list(dict.fromkeys((*joined, *nothing, *nasty, *long)))


class TimelineTests(Base):
    """Of many timelines at once, each at a time of its own: one that is taken for another has the other's time."""

    @clause("ReferenceStore.newest", "The newest reference of those timelines that have any")
    def test_timelines_that_look_alike_have_each_its_own_newest(self, store: Store) -> None:
        recorded = self._record(store)
        assert store.newest(recorded.keys()) == recorded
        some = list(recorded)[::3]
        assert store.newest(some) == {timeline: recorded[timeline] for timeline in some}
        latest = walk(store, Query(latest=True, limit=10_000))
        assert {one.timeline: one for one in latest} == recorded
        assert len(latest) == len(recorded)

    @clause("ReferenceStore.append", "any other gets the time of the newest plus one")
    def test_what_is_appended_goes_by_its_own_timeline_however_alike_others_are(self, store: Store) -> None:
        recorded = self._record(store)
        early = [removed(timeline.path, 0, timeline.pod) for timeline in recorded]
        appended = store.append({}, early)
        assert appended == [
            removed(timeline.path, one.observed_at_ns + 1, timeline.pod) for timeline, one in recorded.items()
        ]
        assert store.newest(recorded.keys()) == {one.timeline: one for one in appended}

    @clause("values.Pod", "Any part may")
    def test_pods_without_a_namespace_or_a_name_are_pods_like_others(self, store: Store) -> None:
        file, other = File("/file", Sample(10, 1)), File("/file", Sample(10, 2))
        pods = [Pod(namespace, name) for namespace in ("", "shop") for name in ("", "web")]
        first = [file.seen(_TODAY + 10 * number, pod) for number, pod in enumerate(pods)]
        harvest(store, [file, other], first)
        timelines = [one.timeline for one in first]
        assert listing(store) == first
        assert store.newest(timelines) == dict(zip(timelines, first, strict=True))
        assert [one.pods for one in walk_files(store, Query())] == [len(pods)]
        second = store.append({other.signature: other.content}, [other.seen(0, pod) for pod in pods])
        assert second == [other.seen(one.observed_at_ns + 1, one.pod) for one in first]
        assert walk(store, Query(latest=True)) == second
        for number, pod in enumerate(pods):
            assert walk(store, Query(namespace=pod.namespace, pod=pod.name)) == [first[number], second[number]]
        for number, pod in enumerate(pods):
            assert store.forget(Query(namespace=pod.namespace, pod=pod.name)) == 2
            assert walk(store, Query(latest=True)) == second[number + 1 :]

    def _record(self, store: Store) -> dict[Timeline, Reference]:
        """A reference of each, ten nanoseconds after that of the one before."""
        recorded = {
            timeline: removed(timeline.path, _TODAY + 10 * number, timeline.pod)
            for number, timeline in enumerate(_alike())
        }
        store.record({}, list(recorded.values()))
        return recorded
