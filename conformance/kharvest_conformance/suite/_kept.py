"""What callers keep open from one call to the next: cursors of walks, and readers of contents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from kharvest.spi import FileSummary, Order, Query, Reference, Signature, Store, UnknownContent
from kharvest_conformance._clauses import promise
from kharvest_conformance._model import matching
from kharvest_conformance._samples import Sample


@dataclass(slots=True)
class KeptWalk:
    """A walk through references that goes on when other calls have been made.

    Attributes:
        stays: what matched at the start, and ever since.
        matched: what matched at any time since the start.
        gone: what was given and then went away: when it comes again it may be given again.
    """

    query: Query
    stays: set[Reference]
    matched: set[Reference]
    given: list[Reference] = field(default_factory=list)
    gone: set[Reference] = field(default_factory=set)

    def note(self, order: Sequence[Reference]) -> None:
        """Take in that something may have changed."""
        now = matching(order, self.query)
        self.stays.intersection_update(now)
        self.matched.update(now)
        self.gone.update(set(self.given).difference(now))

    def go_on(self, store: Store, order: Sequence[Reference]) -> bool:
        """Read the next page; whether it was the last."""
        with promise("ReferenceStore.references", "Following the cursors gives every reference that was there"):
            page = store.references(self.query)
            self.given += page.items
            assert len(page.items) <= self.query.limit
            assert set(self.given) <= self.matched, "what never matched is given"
            at = {one: number for number, one in enumerate(order)}
            given = [one for one in self.given if one not in self.gone]
            assert len(set(given)) == len(given), "a reference is given twice"
            places = [at[one] for one in given if one in at]
            if self.query.order is Order.NEWEST_FIRST:
                places.reverse()
            assert places == sorted(places), "references are given in another order"
            if page.next_cursor is None:
                assert self.stays <= set(self.given), "what was there all the while is not given"
                return True
            self.query = replace(self.query, cursor=page.next_cursor)
            return False


@dataclass(slots=True)
class KeptFilesWalk:
    """A walk through summaries of files that goes on when other calls have been made."""

    query: Query
    stays: set[Signature]
    matched: set[Signature]
    given: list[Signature] = field(default_factory=list)

    def note(self, order: Sequence[Reference]) -> None:
        """Take in that something may have changed."""
        now = {one.signature for one in matching(order, self.query) if not one.signature.is_removal}
        self.stays &= now
        self.matched |= now

    def go_on(self, store: Store, order: Sequence[Reference]) -> bool:  # noqa: ARG002  # their order is given
        """Read the next page; whether it was the last."""
        with promise("ReferenceStore.files", "Following the cursors gives every file that was there at the start"):
            page = store.files(self.query)
            items: tuple[FileSummary, ...] = page.items
            self.given += [one.signature for one in items]
            assert len(items) <= self.query.limit
            assert set(self.given) <= self.matched, "what never matched is given"
            ranks = [(one.path, one.md5) for one in self.given]
            assert ranks == sorted(set(ranks)), "files are given twice, or in another order"
            if page.next_cursor is None:
                assert self.stays <= set(self.given), "what was there all the while is not given"
                return True
            self.query = replace(self.query, cursor=page.next_cursor)
            return False


@dataclass(slots=True)
class KeptReader:
    """A reader of a content that goes on when other calls have been made. `discarded` once that is what happened."""

    sample: Sample
    chunks: Iterator[bytes]
    given: bytes = b""
    discarded: bool = False

    def go_on(self) -> bool:
        """Read the next chunk; whether there was none."""
        words = "it never ends early without an error" if self.discarded else "The bytes of a content from `offset` on"
        with promise("ContentStore.read", words):
            try:
                chunk = next(self.chunks, None)
            except UnknownContent:
                assert self.discarded, "a content that is there is not known"
                return True
            if chunk is None:
                assert len(self.given) == self.sample.size, "it ends early without an error"
                return True
            assert chunk, "an empty chunk"
            self.given += chunk
            assert self.sample.data().startswith(self.given), "other bytes"
            return False

    def close(self) -> None:
        """Stop reading."""
        close = getattr(self.chunks, "close", None)
        if close is not None:
            close()
