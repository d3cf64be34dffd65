"""Faults in cursors, in walks that others write into, and in what pages are made of."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

from kharvest.spi import (
    NO_METADATA,
    FileSummary,
    InvalidCursor,
    Order,
    Page,
    Query,
    Reference,
    Signature,
    decode_cursor,
    encode_cursor,
)
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore, Rank
from kharvest_zoo.state import State

CHANGED = "test_a_cursor_that_was_changed_is_invalid"
OF_ONE = "test_a_cursor_is_of_one_query_whatever_differs"
TYPES = "test_pages_and_what_is_on_them_are_of_the_promised_types"
READING = "test_reading_changes_nothing"


@caught_by(CHANGED)
class TrimsCursors(PlainStore):
    """Is kind to those who copy a cursor with the blanks around it."""

    def references(self, query: Query) -> Page[Reference]:
        return super().references(replace(query, cursor=query.cursor and query.cursor.strip()))


class WrapsCursors(PlainStore):
    """Gives its cursors in another form."""

    def wrapped(self, cursor: str) -> str:
        return cursor

    def unwrapped(self, cursor: str) -> str:
        return cursor

    def asked(self, query: Query) -> Query:
        return replace(query, cursor=None if query.cursor is None else self.unwrapped(query.cursor))

    def references(self, query: Query) -> Page[Reference]:
        page = super().references(self.asked(query))
        return replace(page, next_cursor=page.next_cursor and self.wrapped(page.next_cursor))

    def files(self, query: Query) -> Page[FileSummary]:
        page = super().files(self.asked(query))
        return replace(page, next_cursor=page.next_cursor and self.wrapped(page.next_cursor))


@caught_by(CHANGED)
class ReadsHexAsItComes(WrapsCursors):
    """Has cursors in hexadecimal, in capitals or not, with blanks or without."""

    def wrapped(self, cursor: str) -> str:
        return cursor.encode().hex()

    def unwrapped(self, cursor: str) -> str:
        try:
            return bytes.fromhex(cursor).decode("ascii")
        except ValueError:
            raise InvalidCursor from None


@caught_by(CHANGED)
class LetsDecodersFail(PlainStore):
    """Hands out what decodes the cursor and goes wrong there."""

    def files(self, query: Query) -> Page[FileSummary]:
        if query.cursor is not None:
            query.cursor.encode("ascii")
        return super().files(query)


@caught_by(CHANGED)
class TakesAnEmptyCursorForNone(PlainStore):
    """Tests `if query.cursor`."""

    def references(self, query: Query) -> Page[Reference]:
        return super().references(replace(query, cursor=query.cursor or None))


class ForgetsPartOfTheQuery(WrapsCursors):
    """Makes cursors for a query without some of its fields."""

    without: ClassVar[Mapping[str, Any]] = {}

    def references(self, query: Query) -> Page[Reference]:
        return self.moved(query, super().references(self.own(query)))

    def files(self, query: Query) -> Page[FileSummary]:
        return self.moved(query, super().files(self.own(query)))

    def own(self, query: Query) -> Query:
        position = decode_cursor(replace(query, **self.without))
        return query if position is None else replace(query, cursor=encode_cursor(query, *position))

    def moved(self, query: Query, page: Page[Any]) -> Page[Any]:
        position = decode_cursor(replace(query, cursor=page.next_cursor))
        return page if position is None else Page(page.items, encode_cursor(replace(query, **self.without), *position))


@caught_by(OF_ONE)
class TakesCursorsOfOtherMetadata(ForgetsPartOfTheQuery):
    """Has no metadata in what a cursor is checked by."""

    without: ClassVar[Mapping[str, Any]] = {"metadata": NO_METADATA}


@caught_by(OF_ONE)
class TakesCursorsOfOtherVersions(ForgetsPartOfTheQuery):
    """Has no MD5 in what a cursor is checked by, since its bytes are no JSON."""

    without: ClassVar[Mapping[str, Any]] = {"md5": None}


@caught_by(OF_ONE)
class TakesCursorsOfOtherTimes(ForgetsPartOfTheQuery):
    """Thinks that bounds may move while somebody walks."""

    without: ClassVar[Mapping[str, Any]] = {"until_ns": None}


@caught_by(OF_ONE)
class TakesCursorsOfTheHistoryForTheLatest(ForgetsPartOfTheQuery):
    """Was written before there was `latest`."""

    without: ClassVar[Mapping[str, Any]] = {"latest": False}


@caught_by(OF_ONE)
class TakesCursorsOfOtherPods(ForgetsPartOfTheQuery):
    """Checks the namespace, and forgets the name."""

    without: ClassVar[Mapping[str, Any]] = {"pod": None}


@caught_by("test_a_forged_position_does_no_more_than_be_invalid")
class PacksPositions(PlainStore):
    """Packs a cursor's numbers for its index, where they have 64 bits."""

    def start(self, query: Query, ranks: list[Rank]) -> int:
        match decode_cursor(query):
            case (int(at), int(arrival)):
                struct.pack("<qq", at, arrival)
        return super().start(query, ranks)


@caught_by("test_a_forged_position_does_no_more_than_be_invalid")
class DecodesPositions(PlainStore):
    """Makes bytes of a cursor's MD5, whatever it is."""

    def files(self, query: Query) -> Page[FileSummary]:
        match decode_cursor(query):
            case (str(path), str(md5)):
                Signature(path, bytes.fromhex(md5))
        return super().files(query)


@caught_by("test_every_limit_gives_the_same_walk")
class EndsWhereThePageIsFull(PlainStore):
    """Has no cursor where what is left makes exactly one page."""

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        page = super().page(query, found, ranks)
        left = len(found) - self.start(query, ranks) - len(page.items)
        return Page(page.items, None if query.limit > 3 and left == query.limit else page.next_cursor)


@caught_by("test_a_cursor_outlives_what_it_stood_at")
class LooksForTheCursorsFile(PlainStore):
    """Goes on behind the file that ended the page, and refuses where it is gone."""

    def files(self, query: Query) -> Page[FileSummary]:
        match decode_cursor(query):
            case (str(path), str(md5)):
                if not self.known([Signature(path, bytes.fromhex(md5))]):
                    raise InvalidCursor
        return super().files(query)


@caught_by("test_a_cursor_outlives_what_it_stood_at")
class RefusesCursorsOfAnEmptyStore(PlainStore):
    """Has nothing that a cursor could stand at, and says so."""

    def start(self, query: Query, ranks: list[Rank]) -> int:
        if query.cursor is not None and not ranks:
            raise InvalidCursor
        return super().start(query, ranks)


@caught_by("test_cursors_of_every_query_work_after_reopening")
class KeepsFileCursorsInMemory(FiledStore):
    """Has cursors of files in a table of the process, and gives their keys."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cursors: dict[str, str] = {}

    def files(self, query: Query) -> Page[FileSummary]:
        if query.cursor is not None:
            if query.cursor not in self.cursors:
                raise InvalidCursor
            query = replace(query, cursor=self.cursors[query.cursor])
        page = super().files(query)
        if page.next_cursor is None:
            return page
        key = uuid.uuid4().hex
        self.cursors[key] = page.next_cursor
        return Page(page.items, key)


@caught_by("test_walks_through_files_of_every_kind_give_what_stays_exactly_once")
class PagesFilesByOffset(PlainStore):
    """Counts files for a cursor."""

    def files(self, query: Query) -> Page[FileSummary]:
        with self.session() as state:
            found = self.summarise(state, self.matching(state, query))
        match decode_cursor(query):
            case None:
                start = 0
            case (int(start),):
                pass
            case _:
                raise InvalidCursor
        end = start + query.limit
        return Page(tuple(found[start:end]), encode_cursor(query, end) if end < len(found) else None)


class PagesSomeByOffset(PlainStore):
    """Counts references for a cursor where it has no index to go on in."""

    def is_counted(self, query: Query) -> bool:
        return query.latest

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        if not self.is_counted(query):
            return super().page(query, found, ranks)
        match decode_cursor(query):
            case None:
                start = 0
            case (int(start), "offset"):
                pass
            case _:
                raise InvalidCursor
        end = start + query.limit
        return Page(tuple(found[start:end]), encode_cursor(query, end, "offset") if end < len(found) else None)


@caught_by("test_a_walk_through_the_latest_gives_what_stays_newest_exactly_once")
class PagesTheLatestByOffset(PagesSomeByOffset):
    """Has to group for `latest`, and so no place in an index to go on from."""


@caught_by("test_walks_of_every_kind_give_what_stays_exactly_once")
class PagesMetadataByOffset(PagesSomeByOffset):
    """Filters by metadata in the program, and counts what was given."""

    def is_counted(self, query: Query) -> bool:
        return bool(query.metadata)


@caught_by("test_walks_of_every_kind_give_what_stays_exactly_once")
class PagesBackwardsByOffset(PagesSomeByOffset):
    """Has the conditions of a cursor for one direction only."""

    def is_counted(self, query: Query) -> bool:
        return query.order is Order.NEWEST_FIRST and query.md5 is not None


@caught_by(TYPES)
class CountsInDecimals(PlainStore):
    """Passes on what the driver makes of a sum."""

    def summary(self, state: State, signature: Signature, references: list[Reference]) -> FileSummary:
        exact = super().summary(state, signature, references)
        return replace(exact, pods=Decimal(exact.pods))  # type: ignore[arg-type]


@caught_by(TYPES)
class HasTimesInDoubles(PlainStore):
    """Reads times from JSON of a server that writes 1e3."""

    def references(self, query: Query) -> Page[Reference]:
        page = super().references(query)
        if not query.latest:
            return page
        doubles: list[Any] = [float(one.observed_at_ns) for one in page.items]
        items = (replace(one, observed_at_ns=at) for one, at in zip(page.items, doubles, strict=True))
        return Page(tuple(items), page.next_cursor)


@caught_by(TYPES)
class EndsWithAnEmptyCursor(PlainStore):
    """Has an empty text for no cursor, as its server does."""

    def files(self, query: Query) -> Page[FileSummary]:
        page = super().files(query)
        return Page(page.items, page.next_cursor or ("" if not page.items else None))


@caught_by(READING)
class MovesWhatIsRead(PlainStore):
    """Keeps what was read last at hand, and so behind all others of its time."""

    def references(self, query: Query) -> Page[Reference]:
        page = super().references(query)
        if query.latest:
            with self.session() as state:
                for one in page.items:
                    state.arrivals += 1
                    state.references[one] = state.arrivals
        return page


@caught_by(READING)
class CleansUpWhileItReads(PlainStore):
    """Removes old removals when it comes across them."""

    def files(self, query: Query) -> Page[FileSummary]:
        with self.session() as state:
            for one in [*state.references]:
                if one.signature.is_removal and query.latest:
                    del state.references[one]
        return super().files(query)
