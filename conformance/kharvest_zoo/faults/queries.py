"""Faults in what a query restricts, and in the order of its answer."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection
from dataclasses import replace

from kharvest.spi import FileSummary, Order, Page, Query, Reference, Signature, Timeline
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore, Rank
from kharvest_zoo.state import State


@caught_by("test_path_restricts_to_exactly_that_path")
class FoldsCase(PlainStore):
    """Has the database's default collation."""

    def same(self, stored: str, asked: str) -> bool:
        return stored.casefold() == asked.casefold()


@caught_by("test_a_path_prefix_is_no_pattern")
class TakesPrefixesForGlobs(PlainStore):
    """Does not escape what GLOB means something by."""

    def starts(self, path: str, prefix: str) -> bool:
        return fnmatch.fnmatchcase(path, f"{prefix}*")


@caught_by("test_a_path_prefix_is_no_pattern")
class LooksForPrefixesAnywhere(PlainStore):
    """Compares prefixes up to the next character after the prefix's last, and forgets that there may be none."""

    def starts(self, path: str, prefix: str) -> bool:
        last = ord(prefix[-1]) if prefix else 0
        return prefix <= path < prefix[:-1] + chr(min(last + 1, 0xFFFF)) if prefix else True


@caught_by("test_metadata_restricts_to_references_that_have_every_pair")
class WantsAnyPair(PlainStore):
    """Has OR for AND."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        return not query.metadata or bool(reference.metadata.items() & query.metadata.items())


@caught_by("test_strings_that_look_alike_stay_apart")
class TakesDotsInKeysForPaths(PlainStore):
    """Asks for the metadata key `a.b` as a document store does: b within a."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        return super().tagged(reference, query) and not any("." in key for key in query.metadata)


@caught_by("test_since_is_inclusive_and_until_exclusive")
class ExcludesSince(PlainStore):
    """Has > for >=."""

    def is_since(self, reference: Reference, since_ns: int | None) -> bool:
        return since_ns is None or reference.observed_at_ns > since_ns


@caught_by("test_since_is_inclusive_and_until_exclusive")
class IncludesUntil(PlainStore):
    """Has BETWEEN."""

    def is_before(self, reference: Reference, until_ns: int | None) -> bool:
        return until_ns is None or reference.observed_at_ns <= until_ns


@caught_by("test_an_empty_namespace_or_pod_asks_for_pods_that_have_none")
class TakesEmptyForAny(PlainStore):
    """Tests `if query.namespace`."""

    def fits(self, reference: Reference, query: Query) -> bool:
        return super().fits(reference, replace(query, namespace=query.namespace or None, pod=query.pod or None))


@caught_by("test_latest_tells_what_pods_held_at_that_time")
class FiltersBeforeLatest(PlainStore):
    """Takes the newest of what matches, so that a pod still holds what it has replaced."""

    def matching(self, state: State, query: Query) -> list[Reference]:
        found = super().matching(state, replace(query, latest=False))
        return self.latest(found) if query.latest else found


@caught_by("test_latest_gives_the_newest_of_each_timeline")
class TakesTheLatestOfEachPath(PlainStore):
    """Groups by path, not by pod and path."""

    def latest(self, ranked: list[Reference]) -> list[Reference]:
        newest = {reference.signature.path: reference for reference in ranked}
        return [reference for reference in ranked if newest[reference.signature.path] == reference]


@caught_by("test_latest_gives_the_newest_of_each_timeline")
class SkipsRemovalsInLatest(PlainStore):
    """Goes on showing a file after it was removed."""

    def latest(self, ranked: list[Reference]) -> list[Reference]:
        return super().latest([reference for reference in ranked if not reference.signature.is_removal])


@caught_by("test_a_late_arrival_of_an_older_reference_does_not_become_the_newest")
class TakesTheLastToArriveForTheNewest(PlainStore):
    """Keeps a table of the newest, and overwrites it with whatever comes."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self.session() as state:
            arrived = sorted(state.references, key=lambda reference: state.references[reference])
            newest = {reference.timeline: reference for reference in arrived}
            return {timeline: newest[timeline] for timeline in timelines if timeline in newest}


@caught_by("test_newest_and_latest_agree_among_equal_times")
class KeepsTheFirstOfEqualTimesAsNewest(PlainStore):
    """Replaces the newest only by a later one."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        with self.session() as state:
            newest: dict[Timeline, Reference] = {}
            for reference in self.matching(state, Query()):
                known = newest.get(reference.timeline)
                if known is None or reference.observed_at_ns > known.observed_at_ns:
                    newest[reference.timeline] = reference
            return {timeline: newest[timeline] for timeline in timelines if timeline in newest}


@caught_by("test_forgetting_the_newest_makes_the_one_before_the_newest")
class RemembersAForgottenNewest(PlainStore):
    """Caches the newest of each timeline, and does not hear when it is forgotten."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cache: dict[Timeline, Reference] = {}

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        found = super().newest(timelines)
        self.cache |= {one: reference for one, reference in found.items() if one not in self.cache}
        return {one: self.cache[one] for one in timelines if one in self.cache}


@caught_by("test_newest_first_is_oldest_first_reversed")
class ReversesOnlyTheTimes(PlainStore):
    """Orders by time DESC, id ASC."""

    def references(self, query: Query) -> Page[Reference]:
        page = super().references(query)
        if query.order is Order.NEWEST_FIRST:
            items = list(page.items[::-1])
            items.sort(key=lambda reference: -reference.observed_at_ns)
            return Page(tuple(items), page.next_cursor)
        return page


@caught_by("test_every_query_keeps_the_order_among_equal_times")
class OrdersByWhateverIndexItUses(PlainStore):
    """Gives references of one time in another order when a path is asked for."""

    def matching(self, state: State, query: Query) -> list[Reference]:
        found = super().matching(state, query)
        if query.path is None:
            return found
        found.reverse()
        found.sort(key=lambda reference: reference.observed_at_ns)
        return found


@caught_by("test_the_order_among_equal_times_stays_when_more_comes")
class ReordersWhenItGrows(PlainStore):
    """Leaves the order of equal times to a hash table that is resized."""

    def rank(self, state: State, reference: Reference) -> Rank:
        at, arrival = super().rank(state, reference)
        return at, arrival if len(state.references) < 8 else -arrival


@caught_by("test_a_summary_counts_pods_and_has_the_first_and_last_time")
class CountsReferencesForPods(PlainStore):
    """Has COUNT(*) for COUNT(DISTINCT …)."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        return replace(super().summary(state, signature, references), pods=len(references))


@caught_by("test_a_summary_counts_pods_and_has_the_first_and_last_time")
class CountsPodsByName(PlainStore):
    """Counts pods of one name in two namespaces as one."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        names = {reference.pod.name for reference in references}
        return replace(super().summary(state, signature, references), pods=len(names))


@caught_by("test_a_summary_is_of_the_matching_references_only")
class SummarisesAllTime(PlainStore):
    """Has the first and last time of a file in the file's row, whatever is asked."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        every = [reference for reference in state.references if reference.signature == signature]
        whole = super().summary(state, signature, every)
        return replace(whole, pods=len({reference.pod for reference in references}))


@caught_by("test_files_come_in_the_order_of_path_and_md5")
class SortsByUtf16(PlainStore):
    """Sorts strings as Java and JavaScript do."""

    def summarise(self, state: State, references: list[Reference]) -> list[FileSummary]:
        found = super().summarise(state, references)
        return sorted(found, key=lambda one: (one.signature.path.encode("utf-16-be"), one.signature.md5))
