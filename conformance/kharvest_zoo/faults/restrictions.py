"""Faults in restrictions that hold alone, and not together."""

from __future__ import annotations

from dataclasses import replace

from kharvest.spi import NO_METADATA, FileSummary, Metadata, Order, Page, Query, Reference
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

TWO = "test_any_two_restrictions_hold_together"
THREE = "test_three_and_more_restrictions_hold_together"
SUMMARIES = "test_summaries_are_of_what_any_restrictions_match"
PAGES = "test_pages_go_on_under_any_two_restrictions"
FORGET = "test_forget_removes_what_any_two_restrictions_match"
ONE_TIMELINE = "test_any_restrictions_hold_within_one_timeline"


@caught_by(TWO)
class FindsVersionsUnderAnyPath(PlainStore):
    """Has an index of MD5, and takes what it finds there without a look at the prefix."""

    def fits(self, reference: Reference, query: Query) -> bool:
        return super().fits(reference, query if query.md5 is None else replace(query, path_prefix=None))


@caught_by(TWO)
class JoinsNamespaceAndPodByOr(PlainStore):
    """Has lost the parentheses: a OR b AND c."""

    def fits(self, reference: Reference, query: Query) -> bool:
        if query.namespace is None or query.pod is None:
            return super().fits(reference, query)
        return super().fits(reference, replace(query, pod=None)) or super().fits(
            reference, replace(query, namespace=None)
        )


@caught_by(TWO)
class AsksTheNewestWithoutTheirMetadata(PlainStore):
    """Has a table of the newest, which has no column for metadata."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        return (query.latest and query.until_ns is None) or super().tagged(reference, query)


@caught_by(TWO)
class BuildsTheReverseQueryApart(PlainStore):
    """Has a second statement for newest first, to which `since` was not added."""

    def is_in_reverse(self, query: Query) -> bool:
        return query.order is Order.NEWEST_FIRST and query.path is not None

    def fits(self, reference: Reference, query: Query) -> bool:
        return super().fits(reference, replace(query, since_ns=None) if self.is_in_reverse(query) else query)


@caught_by(THREE)
class SearchesTwoIndexesAtMost(PlainStore):
    """Intersects what two indexes find, and takes the third restriction for one that the first two imply."""

    def fits(self, reference: Reference, query: Query) -> bool:
        by_index = (query.path, query.namespace, query.pod, query.md5)
        if sum(one is not None for one in by_index) < 3:
            return super().fits(reference, query)
        return super().fits(reference, replace(query, md5=None) if query.pod is not None else replace(query, pod=None))


@caught_by(THREE)
class ChecksOnePairInAFile(PlainStore):
    """Looks only for the first pair where path and pod leave few references."""

    def tagged(self, reference: Reference, query: Query) -> bool:
        if query.path is not None and query.pod is not None:
            return super().tagged(reference, replace(query, metadata=Metadata(dict([*query.metadata.items()][:1]))))
        return super().tagged(reference, query)


@caught_by(THREE)
class HasParametersForFourConditions(PlainStore):
    """Leaves out the bounds on the time when there are more conditions than it has thought of."""

    def fits(self, reference: Reference, query: Query) -> bool:
        others = (query.path, query.path_prefix, query.md5, query.namespace, query.pod, query.metadata or None)
        many = sum(one is not None for one in others) >= 4
        return super().fits(reference, replace(query, since_ns=None) if many else query)


@caught_by(SUMMARIES)
class SummarisesPodsWhateverTheirMetadata(PlainStore):
    """Counts a pod's files from a table that has one row for each pod and file."""

    def files(self, query: Query) -> Page[FileSummary]:
        one_row = query.pod is not None and query.since_ns is None
        return super().files(replace(query, metadata=NO_METADATA) if one_row else query)


@caught_by(SUMMARIES)
class SummarisesTheLatestOfNow(PlainStore):
    """Takes the latest of now for the files, and asks only then which of them are before `until`."""

    def files(self, query: Query) -> Page[FileSummary]:
        if not query.latest or query.until_ns is None:
            return super().files(query)
        with self.session() as state:
            now = super().matching(state, replace(query, until_ns=None, cursor=None))
            summaries = self.summarise(state, [one for one in now if self.is_before(one, query.until_ns)])
        return Page(tuple(summaries[: query.limit]), None)


@caught_by(PAGES)
class LimitsBeforeItFilters(PlainStore):
    """Has the limit in the database's query, and looks at metadata in what that gives."""

    def references(self, query: Query) -> Page[Reference]:
        if not query.metadata:
            return super().references(query)
        wide = replace(query, metadata=NO_METADATA, cursor=None)
        assert query.cursor is None, "it gives none"
        page = super().references(wide)
        items = tuple(one for one in page.items if one.metadata.matches(query.metadata))
        return Page(items, None)


@caught_by(PAGES)
class LimitsFilesBeforeItFilters(PlainStore):
    """Takes as many files as the page holds, and leaves out those that nobody in the namespace has."""

    def files(self, query: Query) -> Page[FileSummary]:
        if query.namespace is None:
            return super().files(query)
        with self.session() as state:
            every = self.summarise(state, self.matching(state, replace(query, namespace=None)))[: query.limit]
            ours = self.summarise(state, self.matching(state, query))
        names = {one.signature for one in every}
        return Page(tuple(one for one in ours if one.signature in names), None)


@caught_by("test_forget_removes_no_more_than_any_two_restrictions_match")
class ForgetsInEveryPod(PlainStore):
    """Deletes by path and time, as the row's key begins, and so other pods' too."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, pod=None) if query.path_prefix is not None else query)


@caught_by(FORGET)
class ForgetsTheOldestWhateverIsAsked(PlainStore):
    """Has no order in its DELETE when there is a namespace."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, order=Order.OLDEST_FIRST) if query.namespace is not None else query)


@caught_by(FORGET)
class ForgetsThePastOfTheLatest(PlainStore):
    """Has written `latest` for reading, and forgets from the history."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, latest=False) if query.md5 is not None else query)


@caught_by(ONE_TIMELINE)
class TakesTheFirstOfATimeForTheLatest(PlainStore):
    """Joins the history with the largest time of each timeline, and takes the first row of those."""

    def latest(self, ranked: list[Reference]) -> list[Reference]:
        newest: dict[object, Reference] = {}
        for reference in ranked:
            before = newest.get(reference.timeline)
            if before is None or before.observed_at_ns < reference.observed_at_ns:
                newest[reference.timeline] = reference
        return [reference for reference in ranked if newest[reference.timeline] is reference]


@caught_by(ONE_TIMELINE)
class ShowsOnlyWhatIsStillHeld(PlainStore):
    """Answers `latest` at a time from the newest of now: what was replaced since is not there."""

    def matching(self, state: State, query: Query) -> list[Reference]:
        if not query.latest:
            return super().matching(state, query)
        now = super().matching(state, replace(query, until_ns=None))
        return [reference for reference in now if self.is_before(reference, query.until_ns)]


@caught_by(ONE_TIMELINE)
class SearchesTheLatestOfEachVersion(PlainStore):
    """Groups by path, pod and MD5, since that is what the index has."""

    def latest(self, ranked: list[Reference]) -> list[Reference]:
        newest = {(one.timeline, one.signature): one for one in ranked}
        return [one for one in ranked if newest[one.timeline, one.signature] is one]
