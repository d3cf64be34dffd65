"""Faults that show only among thousands."""

from __future__ import annotations

from dataclasses import replace

from kharvest.spi import NO_METADATA, FileSummary, Order, Page, Query, Reference, Signature
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore, Rank
from kharvest_zoo.state import State

REFERENCES = "test_thousands_of_references_are_found_each_once"
FEW = "test_few_matches_are_found_among_thousands"
FILES = "test_thousands_of_files_and_pods_are_summarised_exactly"


@caught_by(REFERENCES)
class EndsPagesAtAThousand(PlainStore):
    """Gives a thousand at most, as its server does, and calls that all."""

    def references(self, query: Query) -> Page[Reference]:
        page = super().references(replace(query, limit=query.limit))
        return Page(page.items[:1000], page.next_cursor)


@caught_by(REFERENCES)
class LooksUpSomeTimelines(PlainStore):
    """Has room for 999 parameters in a statement, and cuts the list of timelines."""

    def latest(self, ranked: list[Reference]) -> list[Reference]:
        newest = {reference.timeline: reference for reference in ranked}
        some = dict([*newest.items()][:999])
        return [reference for reference in ranked if some.get(reference.timeline) is reference]


@caught_by(REFERENCES)
class SkipsTiesBehindLongPages(PlainStore):
    """Goes on after a long page by time alone: so many of one time there never are."""

    def start(self, query: Query, ranks: list[Rank]) -> int:
        start = super().start(query, ranks)
        while query.limit >= 1000 and 0 < start < len(ranks) and ranks[start][0] == ranks[start - 1][0]:
            start += 1
        return start


@caught_by(FEW)
class LooksAtAThousandAtMost(PlainStore):
    """Gives up after a thousand rows that do not match."""

    def matching(self, state: State, query: Query) -> list[Reference]:
        if not query.metadata:
            return super().matching(state, query)
        every = super().matching(state, replace(query, metadata=NO_METADATA))
        if query.order is Order.NEWEST_FIRST:
            return [one for one in every[-1000:] if self.tagged(one, query)]
        return [one for one in every[:1000] if self.tagged(one, query)]


@caught_by(FEW)
class ForgetsAThousandAtMost(PlainStore):
    """Deletes a thousand at once, and reports them."""

    def forget(self, query: Query) -> int:
        return super().forget(replace(query, limit=min(query.limit, 1000)))


@caught_by(FEW)
class EndsAtAnEmptyWindow(PlainStore):
    """Looks at a window of rows for each page, and takes a window without a match for the end."""

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        if query.pod is None:
            return super().page(query, found, ranks)
        with self.session() as state:
            every = super().matching(state, replace(query, pod=None, cursor=None))
        window = set(every[:2000] if query.order is Order.OLDEST_FIRST else every[-2000:])
        page = super().page(query, found, ranks)
        return page if window & set(page.items) else Page((), None)


@caught_by(FILES)
class CountsInTwelveBits(PlainStore):
    """Counts pods in a sketch that is exact for a few thousand."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        exact = super().summary(state, signature, references)
        return replace(exact, pods=min(exact.pods, 4096))


@caught_by(FILES)
class SummarisesAThousandReferences(PlainStore):
    """Groups a file's references in the program, a page of them."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        return super().summary(state, signature, references[:4000])


@caught_by(FILES)
class HasAThousandFilesAtMost(PlainStore):
    """Caps pages of files, and gives no cursor for the rest."""

    def summarise(self, state: State, references: list[Reference]) -> list[FileSummary]:
        return super().summarise(state, references)[:1000]
