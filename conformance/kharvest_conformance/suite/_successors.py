"""Pods that were made one after the other under the same name: each is a pod of its own."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from kharvest.spi import MAX_UID_BYTES, Order, Pod, Query, Reference, Store
from kharvest_conformance._clauses import clause
from kharvest_conformance._model import matching, summaries
from kharvest_conformance._samples import AGAIN, OTHER, TODAY, WEB, File, Sample, contents_by_signature, removed
from kharvest_conformance._strategies import NASTY
from kharvest_conformance._walks import walk, walk_files
from kharvest_conformance.suite._base import Base
from kharvest_conformance.suite._holding import harvest, listing

THIRD = replace(WEB, uid="0d1c0")
PODS = (WEB, AGAIN, THIRD, replace(OTHER, uid=AGAIN.uid), Pod("far", WEB.name, THIRD.uid))
"""Three of one name; one that has the UID of one of them in another name, and one in another namespace."""
FILES = tuple(File(path, sample) for path in ("/etc/app", "/etc/db") for sample in (Sample(10, 1), Sample(10, 2)))
CONTENTS = contents_by_signature(FILES)


def alike() -> list[Pod]:
    """Pods of one name whose UIDs look alike, to an encoding or a limit."""
    long = "u" * (MAX_UID_BYTES - 1)
    uids = [*NASTY, "7", "07", "7.0", "7e0", " 7", "", long, *(long + end for end in "abA /\n")]
    return [replace(WEB, uid=uid) for uid in dict.fromkeys(uids) if len(uid.encode()) <= MAX_UID_BYTES]


def scene() -> list[Reference]:
    """What five pods had of two paths, by turns: the pods that share a name stand between each other."""
    return [
        FILES[(number * 3 + turn) % len(FILES)].seen(TODAY + 10 * turn + number, pod)
        for turn in range(4)
        for number, pod in enumerate(PODS)
    ]


class SuccessorTests(Base):
    """Of a pod's UID."""

    @pytest.fixture
    def succession(self, store: Store) -> list[Reference]:
        """The listing of a store that has the scene."""
        harvest(store, FILES, scene())
        return listing(store)

    @clause("values.Pod", "no timeline is of both")
    def test_pods_that_share_a_name_have_each_its_own_newest(self, store: Store) -> None:
        pods = alike()
        recorded = [removed("/path", TODAY + 10 * number, pod) for number, pod in enumerate(pods)]
        store.record({}, recorded)
        assert listing(store) == recorded
        assert store.newest([one.timeline for one in recorded]) == {one.timeline: one for one in recorded}
        assert walk(store, Query(latest=True)) == recorded
        appended = store.append({}, [replace(one, observed_at_ns=0) for one in recorded])
        assert appended == [replace(one, observed_at_ns=one.observed_at_ns + 1) for one in recorded]
        assert walk(store, Query(latest=True)) == appended
        assert walk(store, Query(latest=True, until_ns=TODAY + 1)) == recorded[:1]

    @clause("values.Query", "uid: the pod's UID.")
    def test_a_uid_restricts_to_the_pods_that_have_it(self, store: Store, succession: list[Reference]) -> None:
        others = [
            *({}, {"namespace": WEB.namespace}, {"pod": WEB.name}, {"namespace": WEB.namespace, "pod": WEB.name}),
            *({"namespace": OTHER.namespace, "pod": OTHER.name}, {"path": FILES[0].path}, {"path_prefix": "/etc/"}),
            *({"md5": FILES[0].signature.md5}, {"since_ns": TODAY + 15}, {"until_ns": TODAY + 25}),
            {"namespace": WEB.namespace, "pod": WEB.name, "path": FILES[0].path},
        ]
        uids = [AGAIN.uid, THIRD.uid, "", "0d1", None]
        for number, (uid, other, latest) in enumerate(product(uids, others, (False, True))):
            order, limit = list(Order)[number % 2], (1000, 1, 2)[number % 3]
            query = Query(uid=uid, latest=latest, order=order, limit=limit, **other)  # type: ignore[arg-type]
            assert walk(store, query) == matching(succession, query), query
            assert walk_files(store, query) == summaries(matching(succession, query), CONTENTS), query

    @clause("values.Query", "An empty namespace, pod or UID does: it asks for the pods that have none.")
    def test_uids_that_look_alike_are_told_apart_when_asked_for(self, store: Store) -> None:
        recorded = [removed("/path", TODAY + number, pod) for number, pod in enumerate(alike())]
        store.record({}, recorded)
        for one in recorded:
            assert walk(store, Query(uid=one.pod.uid)) == [one]
            assert walk(store, Query(namespace=WEB.namespace, pod=WEB.name, uid=one.pod.uid)) == [one]

    @clause("values.FileSummary", "how many pods have a matching reference to it")
    def test_pods_that_share_a_name_are_counted_each(self, store: Store) -> None:
        pods = alike()
        harvest(store, FILES[:1], [FILES[0].seen(TODAY + number, pod) for number, pod in enumerate(pods)])
        for query in (Query(), Query(latest=True), Query(pod=WEB.name), Query(path=FILES[0].path)):
            assert [one.pods for one in walk_files(store, query)] == [len(pods)], query

    @clause("ReferenceStore.forget", "Remove at most `query.limit` of the references that match")
    def test_forgetting_one_pod_leaves_others_of_its_name_alone(
        self, store: Store, succession: list[Reference]
    ) -> None:
        left = succession
        for pod in PODS:
            gone = [one for one in left if one.pod == pod]
            assert store.forget(Query(namespace=pod.namespace, pod=pod.name, uid=pod.uid)) == len(gone)
            left = [one for one in left if one.pod != pod]
            assert listing(store) == left
            query = Query(latest=True)
            assert walk(store, query) == matching(left, query)
            timelines = {one.timeline for one in left}
            assert store.newest([one.timeline for one in succession]).keys() == timelines
