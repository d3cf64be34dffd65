"""Faults in pages and cursors."""

from __future__ import annotations

from dataclasses import replace

from kharvest.spi import InvalidCursor, Order, Page, Query, Reference, decode_cursor, encode_cursor
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore, Rank

ANY = Query()


@caught_by("test_a_walk_gives_what_stays_exactly_once_whatever_is_written_meanwhile")
class PagesByOffset(PlainStore):
    """Counts items for a cursor, so that what is written meanwhile shifts the pages."""

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        page = super().page(query, found, ranks)
        if page.next_cursor is None:
            return page
        return Page(page.items, encode_cursor(query, self.start(query, ranks) + len(page.items), 0))

    def start(self, query: Query, ranks: list[Rank]) -> int:
        match decode_cursor(query):
            case (int(offset), 0):
                return offset
            case None:
                return 0
            case _:
                raise InvalidCursor


@caught_by("test_pages_have_neither_gaps_nor_repeats")
class PagesByTimeOnly(PlainStore):
    """Goes on after the last time, past what else has that time."""

    def start(self, query: Query, ranks: list[Rank]) -> int:
        start = super().start(query, ranks)
        while 0 < start < len(ranks) and ranks[start][0] == ranks[start - 1][0]:
            start += 1
        return start


@caught_by("test_pages_have_neither_gaps_nor_repeats")
class RepeatsTheLastItem(PlainStore):
    """Has >= for > in the cursor's condition."""

    def start(self, query: Query, ranks: list[Rank]) -> int:
        return max(0, super().start(query, ranks) - (1 if query.limit > 1 else 0))


@caught_by("test_pages_have_neither_gaps_nor_repeats")
class SeesNoLastSinglePage(PlainStore):
    """Is off by one when it looks whether there is more."""

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        page = super().page(query, found, ranks)
        one_left = self.start(query, ranks) + query.limit + 1 == len(found)
        return Page(page.items, None if one_left else page.next_cursor)


@caught_by("test_a_page_has_no_more_than_the_limit")
class GivesOneTooMany(PlainStore):
    """Fetches one more to see whether there is more, and leaves it in."""

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        page = super().page(query, found, ranks)
        start = self.start(query, ranks)
        return Page(tuple(found[start : start + query.limit + 1]), page.next_cursor)


@caught_by("test_the_last_page_has_no_cursor")
class AlwaysHasACursor(PlainStore):
    """Gives a cursor with every page, the last and the empty one too."""

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        page = super().page(query, found, ranks)
        return Page(page.items, page.next_cursor or encode_cursor(query, *(ranks[-1] if ranks else (0, 0))))


@caught_by("test_a_cursor_of_another_query_is_invalid")
class TakesAnyCursor(PlainStore):
    """Does not look which query a cursor was made for."""

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        page = super().page(query, found, ranks)
        if page.next_cursor is None:
            return page
        last = ranks[self.start(query, ranks) + len(page.items) - 1]
        return Page(page.items, encode_cursor(ANY, *last))

    def start(self, query: Query, ranks: list[Rank]) -> int:
        if query.cursor is None:
            return 0
        asked = replace(ANY, cursor=query.cursor)
        return super().start(replace(asked, order=Order.OLDEST_FIRST), ranks)


@caught_by("test_a_cursor_that_no_store_made_is_invalid")
class StartsAgainOnABadCursor(PlainStore):
    """Takes a damaged cursor for none."""

    def start(self, query: Query, ranks: list[Rank]) -> int:
        try:
            return super().start(query, ranks)
        except InvalidCursor:
            return 0


@caught_by("test_a_cursor_still_works_where_its_reference_was_forgotten")
class LooksForTheCursorsReference(PlainStore):
    """Goes on behind the reference that ended the page, and ends where it is gone."""

    def start(self, query: Query, ranks: list[Rank]) -> int:
        start = super().start(query, ranks)
        return start if query.cursor is None or start else len(ranks)


@caught_by("test_a_cursor_behind_all_that_is_left_finds_nothing")
class StartsAgainAtTheEnd(PlainStore):
    """Looks for the first one that is not behind the cursor, and starts with the first of all where there is none."""

    def start(self, query: Query, ranks: list[Rank]) -> int:
        return super().start(query, ranks) % (len(ranks) or 1)
