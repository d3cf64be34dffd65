"""Faults in telling pods of one name apart by their UID."""

from __future__ import annotations

from dataclasses import replace

from kharvest.spi import FileSummary, Page, Pod, Query, Reference, Signature, Timeline
from kharvest_zoo.fault import caught_by
from kharvest_zoo.faults.likenesses import Key, KeyedStore
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

NEWEST = "test_pods_that_share_a_name_have_each_its_own_newest"
ASKED = "test_a_uid_restricts_to_the_pods_that_have_it"
ALIKE = "test_uids_that_look_alike_are_told_apart_when_asked_for"


@caught_by(NEWEST)
class KnowsPodsByName(KeyedStore):
    """Was written before pods had a UID: a successor goes on in the timelines of the pod before."""

    def timeline_key(self, timeline: Timeline) -> Key:
        return timeline.pod.namespace, timeline.pod.name, timeline.path


@caught_by(NEWEST)
class TakesTheLatestOfEachName(PlainStore):
    """Groups by the columns that a pod had first."""

    def latest(self, ranked: list[Reference]) -> list[Reference]:
        newest = {(one.pod.namespace, one.pod.name, one.signature.path): one for one in ranked}
        kept = set(newest.values())
        return [one for one in ranked if one in kept]


@caught_by(NEWEST)
class LosesTheUid(PlainStore):
    """Returns what its old format has."""

    def references(self, query: Query) -> Page[Reference]:
        page = super().references(query)
        return replace(page, items=tuple(replace(one, pod=replace(one.pod, uid="")) for one in page.items))


@caught_by(NEWEST)
class CutsTheUid(KeyedStore):
    """Has a column for a UUID."""

    def pod_key(self, pod: Pod) -> Key:
        return pod.namespace, pod.name, pod.uid[:36]


@caught_by(NEWEST)
class FoldsTheUid(KeyedStore):
    """Takes a UID for hexadecimal digits, in upper or lower case."""

    def pod_key(self, pod: Pod) -> Key:
        return pod.namespace, pod.name, pod.uid.lower()


@caught_by(NEWEST)
class TrimsTheUid(KeyedStore):
    """Pads a column, and trims what comes back."""

    def pod_key(self, pod: Pod) -> Key:
        return pod.namespace, pod.name, pod.uid.rstrip(" ")


@caught_by(ASKED)
class IgnoresTheUid(PlainStore):
    """Does not know the field of the query yet."""

    def fits(self, reference: Reference, query: Query) -> bool:
        return super().fits(reference, replace(query, uid=None))


@caught_by(ASKED)
class TakesAnEmptyUidForAny(PlainStore):
    """Tests `if query.uid`."""

    def fits(self, reference: Reference, query: Query) -> bool:
        return super().fits(reference, replace(query, uid=query.uid or None))


@caught_by(ASKED)
class AsksForTheUidOnlyBesideAName(PlainStore):
    """Looks the UID up among the pods of a name."""

    def fits(self, reference: Reference, query: Query) -> bool:
        return super().fits(reference, query if query.pod is not None else replace(query, uid=None))


@caught_by(ASKED)
class AsksForTheUidInOneNamespaceOnly(PlainStore):
    """Takes a UID for one pod, and forgets what it is asked besides."""

    def fits(self, reference: Reference, query: Query) -> bool:
        return super().fits(reference, query if query.uid is None else replace(query, namespace=None))


@caught_by(ASKED)
class FindsOneTimelineOfAName(PlainStore):
    """Walks the timeline of the pod that had a path last, where a query names pod and path."""

    def matching(self, state: State, query: Query) -> list[Reference]:
        found = super().matching(state, query)
        if query.path is None or query.pod is None or not found:
            return found
        return [one for one in found if one.pod.uid == found[-1].pod.uid]


@caught_by(ALIKE)
class ComparesUidsWithoutCase(PlainStore):
    """Asks a database whose collation folds."""

    def fits(self, reference: Reference, query: Query) -> bool:
        is_alike = query.uid is not None and reference.pod.uid.casefold() == query.uid.casefold()
        return super().fits(reference, replace(query, uid=None) if is_alike else query)


@caught_by("test_pods_that_share_a_name_are_counted_each")
class CountsNames(PlainStore):
    """Counts distinct names."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        found = super().summary(state, signature, references)
        return replace(found, pods=len({(one.pod.namespace, one.pod.name) for one in references}))


@caught_by("test_forgetting_one_pod_leaves_others_of_its_name_alone")
class ForgetsByName(PlainStore):
    """Passes on the fields that it knows: more is removed than was asked for."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, uid=None))
