"""Faults that show when something has ended: a window of results, a store, a put, the life of a cursor."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile

from kharvest.spi import Content, FileSummary, InvalidCursor, Page, Query, Reference, Signature
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore, Rank
from kharvest_zoo.state import State

WINDOW = 10_000
"""The most results of one search."""
OPEN_SEARCHES = 500

CLOSED = "test_an_iterator_that_is_drawn_after_close_never_ends_early"
AGAIN = "test_a_cursor_works_again_and_after_many_others"
PIECES = "test_no_item_is_lost_between_the_pieces_of_a_batch"


@caught_by(PIECES)
class SeesNothingBehindItsWindow(PlainStore):
    """Asks for one more than the limit to see whether there is more, and never gets more than a search may give."""

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        end = self.start(query, ranks) + WINDOW
        return super().page(query, found[:end], ranks[:end])


@caught_by(PIECES)
class SeesNoFilesBehindItsWindow(PlainStore):
    """The same for summaries."""

    def summarise(self, state: State, references: list[Reference]) -> list[FileSummary]:
        return super().summarise(state, references)[:WINDOW]


@caught_by(AGAIN)
class KeepsSomeCursors(PlainStore):
    """Keeps a search open for each cursor, and closes the oldest when there are too many."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.open: dict[str, None] = {}

    def references(self, query: Query) -> Page[Reference]:
        if query.cursor is not None and query.cursor not in self.open:
            raise InvalidCursor
        page = super().references(query)
        if page.next_cursor is not None:
            self.open.pop(page.next_cursor, None)
            self.open[page.next_cursor] = None
            if len(self.open) > OPEN_SEARCHES:
                del self.open[next(iter(self.open))]
        return page


@caught_by(AGAIN)
class MovesItsCursors(PlainStore):
    """Keeps a search open for each walk of files: whoever comes back with a cursor gets what follows."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.served: dict[str, str | None] = {}

    def files(self, query: Query) -> Page[FileSummary]:
        if query.cursor in self.served:
            return Page((), self.served[query.cursor])
        page = super().files(query)
        if query.cursor is not None:
            self.served[query.cursor] = page.next_cursor
        return page


@caught_by(CLOSED)
class EndsReadersWhenItCloses(PlainStore):
    """Tells readers to stop where they are."""

    closed = False

    def close(self) -> None:
        self.closed = True

    def skipped(self, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
        return takewhile(lambda _piece: not self.closed, super().skipped(pieces, offset))


@caught_by(CLOSED)
class EndsListingsWhenItCloses(PlainStore):
    """Tells listings to stop where they are."""

    closed = False

    def close(self) -> None:
        self.closed = True

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return takewhile(lambda _content: not self.closed, super().contents(after))


@caught_by("test_calls_made_while_chunks_are_drawn_count_also_when_the_put_fails")
class UndoesWhatHappensInAPut(PlainStore):
    """Sets a savepoint in front of a put, and goes back to it when the chunks fail."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        before = copy.deepcopy(self.state)
        try:
            super().put(content, chunks)
        except Exception:
            self.state = before
            raise


@caught_by("test_a_file_is_checked_also_where_no_reference_names_it")
class BelievesABatchThatIsThere(PlainStore):
    """Does nothing when every reference of a batch is there: it must have been recorded before."""

    def check(self, state: State, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        if not references or any(one not in state.references for one in references):
            super().check(state, files, references)
