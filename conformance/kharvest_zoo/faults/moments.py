"""Faults in what a page shows while others write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import sleep

from kharvest.spi import Content, FileSummary, Page, Query, Reference, Signature
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore

REFERENCES = "test_a_page_of_references_shows_one_moment"
FILES = "test_a_page_of_files_shows_one_moment"
ROUND_TRIP = 0.0005
"""The time in seconds that a server takes for one statement."""


@caught_by(REFERENCES)
class RecordsInTwoTransactions(PlainStore):
    """Splits a batch, since statements have a largest size."""

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        half = len(references) // 2
        super().record(files, references[:half])
        sleep(ROUND_TRIP)
        super().record(files, references[half:])


@caught_by(REFERENCES)
class ForgetsInChunks(PlainStore):
    """Deletes twenty at a time, so that no transaction is long."""

    def forget(self, query: Query) -> int:
        count = 0
        while count < query.limit and (gone := super().forget(replace(query, limit=min(20, query.limit - count)))):
            count += gone
            sleep(ROUND_TRIP)
        return count


@caught_by(REFERENCES)
class FillsPagesInTwoReads(PlainStore):
    """Reads half a page, sees that there is more, and reads the rest."""

    def references(self, query: Query) -> Page[Reference]:
        first = super().references(replace(query, limit=max(1, query.limit // 2)))
        if first.next_cursor is None or query.limit == 1:
            return first
        sleep(ROUND_TRIP)
        rest = super().references(replace(query, limit=query.limit - query.limit // 2, cursor=first.next_cursor))
        return Page((*first.items, *rest.items), rest.next_cursor)


@caught_by(REFERENCES)
class ReadsTheLatestPodByPod(PlainStore):
    """Asks for the newest of one pod after the other."""

    def references(self, query: Query) -> Page[Reference]:
        if not query.latest or query.pod is not None or query.cursor is not None:
            return super().references(query)
        with self.session() as state:
            names = sorted({reference.pod.name for reference in self.matching(state, query)})
        found: list[Reference] = []
        for name in names:
            found += super().references(replace(query, pod=name)).items
            sleep(ROUND_TRIP)
        return Page(tuple(sorted(found, key=lambda one: one.observed_at_ns)), None)


@caught_by(FILES)
class CountsPodsAfterwards(PlainStore):
    """Asks for the times of files, and then for how many pods have them."""

    def files(self, query: Query) -> Page[FileSummary]:
        times = super().files(query)
        sleep(ROUND_TRIP)
        counts = {one.signature: one.pods for one in super().files(replace(query, since_ns=self.since(times))).items}
        return Page(
            tuple(replace(one, pods=counts.get(one.signature, 0)) for one in times.items),
            times.next_cursor,
        )

    def since(self, page: Page[FileSummary]) -> int:
        return 0 if not page.items or page.next_cursor else page.items[0].last_seen_ns


@caught_by(FILES)
class SummarisesFileByFile(PlainStore):
    """Asks for each file's references apart."""

    def files(self, query: Query) -> Page[FileSummary]:
        page = super().files(query)
        found: list[FileSummary] = []
        for one in page.items:
            asked = replace(query, path=one.signature.path, path_prefix=None, md5=one.signature.md5, cursor=None)
            found += super().files(asked).items
            sleep(ROUND_TRIP)
        return Page(tuple(found), page.next_cursor)


@caught_by(FILES)
class AsksForLastTimesAfterwards(PlainStore):
    """Asks for the first and last times in two statements."""

    def files(self, query: Query) -> Page[FileSummary]:
        first = super().files(query)
        sleep(ROUND_TRIP)
        last = {one.signature: one.last_seen_ns for one in super().files(query).items}
        items = (replace(one, last_seen_ns=last.get(one.signature, one.last_seen_ns)) for one in first.items)
        return Page(tuple(items), first.next_cursor)
