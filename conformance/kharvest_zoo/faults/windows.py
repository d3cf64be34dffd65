"""Faults of stores that look at a part of what they have: a window of rows, a page that a server cuts."""

from __future__ import annotations

from dataclasses import replace

from kharvest.spi import FileSummary, Order, Page, Query, Reference
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State

WINDOW = 1000
SERVER_LIMIT = 2500


@caught_by("test_a_batch_of_the_most_items_is_recorded_whole")
class ForgetsWithinAWindow(PlainStore):
    """Looks for what to forget among the first thousand that one index gives, and takes no match for the end."""

    def forget(self, query: Query) -> int:
        if query.pod is None or not query.metadata:
            return super().forget(query)
        with self.session() as state:
            window = self.matching(state, replace(query, metadata=Query().metadata))
            if query.order is Order.NEWEST_FIRST:
                window.reverse()
            doomed = [one for one in window[:WINDOW] if self.tagged(one, query)][: query.limit]
            for reference in doomed:
                del state.references[reference]
            self.forget_files(state, doomed)
            return len(doomed)


@caught_by("test_a_batch_of_the_most_items_is_recorded_whole")
class FindsWithinAWindow(PlainStore):
    """Reads the first thousand rows of a path, and filters them by metadata itself."""

    def matching(self, state: State, query: Query) -> list[Reference]:
        found = super().matching(state, query)
        if query.path is None or not query.metadata:
            return found
        window = super().matching(state, replace(query, metadata=Query().metadata))[:WINDOW]
        return [one for one in found if one in set(window)]


@caught_by("test_a_batch_of_the_most_items_is_recorded_whole")
class CutsFilesAtTheServersLimit(PlainStore):
    """Takes what its server gives for one page, and a page that is not full for the last."""

    def files(self, query: Query) -> Page[FileSummary]:
        page = super().files(query)
        return page if len(page.items) <= SERVER_LIMIT else Page(page.items[:SERVER_LIMIT], None)


@caught_by("test_a_prefix_ends_at_any_character")
class TakesPrefixesForDirectories(PlainStore):
    """Takes a prefix for a directory, of which the slashes at the end do not count."""

    def starts(self, path: str, prefix: str) -> bool:
        return path.startswith(prefix.rstrip("/") + "/" if prefix.endswith("//") else prefix)


@caught_by("test_a_prefix_ends_at_any_character")
class JoinsSlashesInPrefixes(PlainStore):
    """Compares paths with their doubled slashes made one."""

    def starts(self, path: str, prefix: str) -> bool:
        return path.startswith(prefix) or path.replace("//", "/").startswith(prefix)
