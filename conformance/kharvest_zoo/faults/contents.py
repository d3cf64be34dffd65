"""Faults in putting and reading contents."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator

from kharvest.spi import Content, StoreUnavailable, UnknownContent
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore


@caught_by("test_nothing_is_visible_before_the_chunks_have_ended")
class VisibleWhilePut(PlainStore):
    """Inserts the row first and appends the chunks to it."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        pieces: list[bytes] = []
        with self.session() as state:
            state.contents.setdefault(content.sha256, (content, pieces))
        try:
            pieces.extend(chunks)
        except BaseException:
            self.discard([content.sha256])
            raise


@caught_by("test_a_put_whose_chunks_fail_passes_the_error_on_and_leaves_nothing")
class KeepsHalfAPut(PlainStore):
    """Stores in a `finally` what has come so far."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        pieces: list[bytes] = []
        try:
            pieces.extend(chunks)
        finally:
            with self.session() as state:
                state.contents.setdefault(content.sha256, (content, pieces))


@caught_by("test_a_put_whose_chunks_fail_passes_the_error_on_and_leaves_nothing")
class SwallowsTheSourcesError(PlainStore):
    """Takes any error for a disconnected client, which needs no answer."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        try:
            super().put(content, chunks)
        except Exception:  # noqa: BLE001  # the fault
            return


@caught_by("test_an_error_after_the_last_chunk_leaves_nothing")
class StopsDrawingAtTheSize(PlainStore):
    """Stops when it has as many bytes as announced, before the core has checked them."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(content, self.until_full(content, chunks))

    def until_full(self, content: Content, chunks: Iterable[bytes]) -> Iterator[bytes]:
        left = content.size
        for chunk in chunks:
            yield chunk
            left -= len(chunk)
            if left <= 0:
                return


@caught_by("test_an_error_instead_of_the_only_chunk_of_an_empty_content_leaves_nothing")
class DrawsNothingForEmptyContents(PlainStore):
    """Knows what no bytes look like."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(content, chunks if content.size else ())


@caught_by("test_a_put_that_waits_for_a_chunk_stops_nobody_else")
class LocksWhileItDraws(PlainStore):
    """Holds the store's one lock, or its one write transaction, for the whole upload."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        with self.lock:
            super().put(content, chunks)


@caught_by("test_a_failed_put_of_what_is_there_leaves_it_there")
class CleansUpTooMuch(PlainStore):
    """Removes the content when a put of it fails, though it was there before."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        try:
            super().put(content, chunks)
        except BaseException:
            self.discard([content.sha256])
            raise


@caught_by("test_one_content_put_by_several_threads_is_there_once")
class RefusesASecondPut(PlainStore):
    """Says `busy` when a content is being put already."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.going: set[bytes] = set()

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        with self.lock:
            if content.sha256 in self.going:
                raise StoreUnavailable("this content is being put")
            self.going.add(content.sha256)
        try:
            super().put(content, chunks)
        finally:
            self.going.discard(content.sha256)


@caught_by("test_putting_again_changes_nothing")
class AppendsOnASecondPut(PlainStore):
    """Has no unique index on the chunks."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        kept = list(chunks)
        with self.session() as state:
            _content, pieces = state.contents.setdefault(content.sha256, (content, []))
            assert isinstance(pieces, list)
            pieces.extend(kept)


@caught_by("test_bytes_come_back_as_they_went_in")
class LosesTheTail(PlainStore):
    """Cuts into blocks and forgets what does not fill the last one."""

    block = 65_536

    def keep(self, chunks: Iterable[bytes]) -> object:
        data = b"".join(chunks)
        whole = max(self.block, len(data) - len(data) % self.block)
        return [data[:whole]]


@caught_by("test_how_the_bytes_are_cut_into_chunks_does_not_matter")
class CountsChunksInOneByte(PlainStore):
    """Numbers chunks from 0 to 255."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        numbered = {number % 256: chunk for number, chunk in enumerate(chunks)}
        return list(numbered.values())


@caught_by("test_bytes_come_back_as_they_went_in")
class CannotStoreNothing(PlainStore):
    """Takes an empty content for one that is not there."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        return {sha256: content for sha256, content in super().present(sha256s).items() if content.size}


@caught_by("test_no_chunk_is_empty")
class EndsWithAnEmptyChunk(PlainStore):
    """Marks the end as sockets do."""

    def pieces(self, kept: object) -> Iterator[bytes]:
        return itertools.chain(super().pieces(kept), [b""])

    def skipped(self, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
        return pieces if offset == 0 else super().skipped(pieces, offset)


@caught_by("test_reading_from_an_offset_gives_the_rest")
class SkipsWholeChunksOnly(PlainStore):
    """Starts at the chunk that holds the offset."""

    def skipped(self, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
        left = offset
        for piece in pieces:
            if left < len(piece):
                yield piece
            left = max(0, left - len(piece))


@caught_by("test_reading_from_the_end_gives_no_chunks")
class RefusesToReadPastTheEnd(PlainStore):
    """Answers as HTTP does: range not satisfiable."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        content = self.present([sha256]).get(sha256)
        if content is not None and offset > 0 and offset >= content.size:
            raise UnknownContent(sha256s=frozenset({sha256}))
        return super().read(sha256, offset)


@caught_by("test_reading_what_is_not_there_raises_unknown_content")
class ReadsNothingFromNothing(PlainStore):
    """Gives no rows when there are none."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        return super().read(sha256, offset) if self.present([sha256]) else iter(())


@caught_by("test_contents_lists_all_in_the_order_of_their_digests")
class ListsContentsAsTheyCame(PlainStore):
    """Has no ORDER BY."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        with self.session() as state:
            return iter([content for sha256, (content, _kept) in state.contents.items() if sha256 > after])


@caught_by("test_contents_starts_after_the_digest_it_is_given")
class ListsTheDigestItStartsAfter(PlainStore):
    """Has >= for >."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return itertools.chain(self.present([after]).values(), super().contents(after))


@caught_by("test_contents_lists_what_stays_there_whatever_is_put_and_discarded_meanwhile")
class ListsContentsByOffset(PlainStore):
    """Fetches the list in pages by OFFSET, so that what is discarded meanwhile shifts it."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        for offset in itertools.count():
            rest = list(super().contents(after))[offset : offset + 1]
            if not rest:
                return
            yield from rest


@caught_by("test_discard_removes_what_it_names_and_nothing_else")
class MissesWhatIsNotThere(PlainStore):
    """Takes removing what is not there for an error."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        with self.session() as state:
            for sha256 in sha256s:
                del state.contents[sha256]


@caught_by("test_what_was_discarded_can_be_put_again")
class LeavesATombstone(PlainStore):
    """Marks contents as deleted, and the mark outlives the next put."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.deleted: set[bytes] = set()

    def discard(self, sha256s: Collection[bytes]) -> None:
        self.deleted |= set(sha256s)
        super().discard(sha256s)

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(content, chunks)
        if content.sha256 in self.deleted:
            super().discard([content.sha256])
