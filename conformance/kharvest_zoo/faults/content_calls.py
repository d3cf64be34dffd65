"""Faults in what the contents half is called with, and what it answers."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from kharvest.spi import Content
from kharvest_zoo.fault import caught_by
from kharvest_zoo.plain import PlainStore


@caught_by("test_contents_are_looked_up_in_any_collection")
class SlicesTheBatch(PlainStore):
    """Asks for so many digests at a time, by slices, which sets have not."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        found: dict[bytes, Content] = {}
        for start in range(0, len(sha256s), 500):
            found |= super().present(sha256s[start : start + 500])  # type: ignore[index]
        return found


@caught_by("test_contents_are_looked_up_in_any_collection")
class IntersectsTheBatch(PlainStore):
    """Was always called with sets."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        return super().present(sha256s.intersection(self.state.contents))  # type: ignore[attr-defined]


@caught_by("test_contents_are_looked_up_in_any_collection")
class MatchesRowsByPosition(PlainStore):
    """Pairs the digests that were asked for with rows, of which there is one for each digest."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        rows = list(super().present(sha256s).values())
        asked = [sha256 for sha256 in sha256s if sha256 in self.state.contents]
        return dict(zip(asked, rows, strict=len(asked) != len(set(asked))))


@caught_by("test_contents_are_looked_up_in_any_collection")
class FindsAllForNone(PlainStore):
    """Leaves the condition out when there is nothing to put into it."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        return super().present(sha256s or list(self.state.contents))


@caught_by("test_contents_are_looked_up_in_any_collection")
class TakesOtherCollectionsForADigest(PlainStore):
    """Wraps what is no list, tuple or set, as one does for single arguments."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        known = isinstance(sha256s, list | tuple | set | frozenset)
        return super().present(sha256s if known else [bytes(next(iter(sha256s), b""))])


@caught_by("test_contents_are_discarded_in_any_collection")
class DiscardsAllForNone(PlainStore):
    """Leaves the condition out when there is nothing to put into it."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s or list(self.state.contents))


@caught_by("test_contents_are_discarded_in_any_collection")
class AddsListsToTheBatch(PlainStore):
    """Was always called with lists."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s + sha256s[:0])  # type: ignore[index]


@caught_by("test_contents_are_discarded_in_any_collection")
class CountsWhatItDiscards(PlainStore):
    """Checks that as many rows went as there were digests that are stored."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        before = len(self.state.contents)
        expected = sum(sha256 in self.state.contents for sha256 in sha256s)
        super().discard(sha256s)
        assert len(self.state.contents) == before - expected


@caught_by("test_what_is_given_and_returned_for_contents_stays_the_callers")
class KeepsTheListOfChunks(PlainStore):
    """Makes a list of what is none."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        return chunks if isinstance(chunks, list) else list(chunks)


@caught_by("test_what_is_given_and_returned_for_contents_stays_the_callers")
class SortsTheBatch(PlainStore):
    """Asks in the order of the index, and sorts in place."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        if isinstance(sha256s, list):
            sha256s.sort()
        return super().present(sha256s)


@caught_by("test_what_is_given_and_returned_for_contents_stays_the_callers")
class EatsTheBatch(PlainStore):
    """Takes from the end of a list until it is empty."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        if isinstance(sha256s, list):
            while sha256s:
                super().discard([sha256s.pop()])
        super().discard(sha256s)


@caught_by("test_what_is_given_and_returned_for_contents_stays_the_callers")
class AnswersFromACache(PlainStore):
    """Keeps its answers, each until something is put or discarded, and gives the same dictionary again."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.answers: dict[tuple[frozenset[bytes], frozenset[bytes]], dict[bytes, Content]] = {}

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        key = (frozenset(self.state.contents), frozenset(sha256s))
        return self.answers.setdefault(key, super().present(sha256s))


@caught_by("test_what_is_given_and_returned_for_contents_stays_the_callers")
class AnswersWithItsIndex(PlainStore):
    """Gives the index itself when all of it was asked for: it is large."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.index: dict[bytes, Content] = {}

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(content, chunks)
        self.index[content.sha256] = content

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        return self.index if self.index.keys() <= set(sha256s) else super().present(sha256s)

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        for sha256 in sha256s:
            self.index.pop(sha256, None)


@caught_by("test_chunks_are_drawn_once_whatever_their_sizes")
class MeasuresFirst(PlainStore):
    """Adds up the sizes, then stores the chunks."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        sum(map(len, chunks))
        return list(chunks)


@caught_by("test_chunks_are_drawn_once_whatever_their_sizes")
class LooksAtTheFirstChunk(PlainStore):
    """Looks whether it is compressed already."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        next(iter(chunks), b"")[:2]
        return list(chunks)


@caught_by("test_chunks_are_drawn_once_whatever_their_sizes")
class CutsLargeChunksShort(PlainStore):
    """Has a column that holds a byte less than a MiB."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        return [chunk[: 2**20 - 1] for chunk in chunks]


@caught_by("test_chunks_are_drawn_once_whatever_their_sizes")
class JoinsChunksInPairs(PlainStore):
    """Halves the rows, and forgets a chunk that has no partner, but for the last."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        drawn = list(chunks)
        return [*itertools.chain(*zip(drawn[:-1:2], drawn[1:-1:2], strict=False)), *drawn[-1:]]


@caught_by("test_what_calls_on_contents_return_is_of_its_type")
class TellsWhetherItWasNew(PlainStore):
    """Returns from `put` what may be of interest."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> Any:
        is_new = content.sha256 not in self.state.contents
        super().put(content, chunks)
        return is_new


@caught_by("test_what_calls_on_contents_return_is_of_its_type")
class TellsHowManyWent(PlainStore):
    """Returns the number of rows from `discard`."""

    def discard(self, sha256s: Collection[bytes]) -> Any:
        before = len(self.state.contents)
        super().discard(sha256s)
        return before - len(self.state.contents)


@caught_by("test_what_calls_on_contents_return_is_of_its_type")
class ReadsAList(PlainStore):
    """Reads all at once."""

    def read(self, sha256: bytes, offset: int = 0) -> Any:
        return list(super().read(sha256, offset))


@caught_by("test_what_calls_on_contents_return_is_of_its_type")
class ListsAList(PlainStore):
    """Fetches all at once."""

    def contents(self, after: bytes = b"") -> Any:
        return list(super().contents(after))


@caught_by("test_what_calls_on_contents_return_is_of_its_type")
class AnswersReadOnly(PlainStore):
    """Protects its answer."""

    def present(self, sha256s: Collection[bytes]) -> Any:
        return MappingProxyType(super().present(sha256s))


@caught_by("test_what_calls_on_contents_return_is_of_its_type")
class ReadsMemoryViews(PlainStore):
    """Copies nothing."""

    def pieces(self, kept: object) -> Iterator[Any]:
        return map(memoryview, super().pieces(kept))


@caught_by("test_what_calls_on_contents_return_is_of_its_type")
class DigestsAsTheDriverGivesThem(PlainStore):
    """Has a driver that gives binary columns as memory views, which equal the bytes and have their hash."""

    def present(self, sha256s: Collection[bytes]) -> Any:
        return {memoryview(sha256): content for sha256, content in super().present(sha256s).items()}


@caught_by("test_what_calls_on_contents_return_is_of_its_type")
class ListsTheDriversBytes(PlainStore):
    """Makes contents of what the driver gives: memory views."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        for one in super().contents(after):
            yield Content(memoryview(one.sha256), memoryview(one.md5), one.size)  # type: ignore[arg-type]


@caught_by("test_what_calls_on_contents_return_is_of_its_type")
class SizesAsDecimals(PlainStore):
    """Has a NUMERIC column for what may be large."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        found = super().present(sha256s)
        return {sha256: Content(sha256, one.md5, Decimal(one.size)) for sha256, one in found.items()}  # type: ignore[arg-type]


@caught_by("test_any_offset_is_found_however_the_bytes_were_cut")
class TakesChunksForEquallyLong(PlainStore):
    """Finds the chunk of an offset by the length of the first one."""

    def skipped(self, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
        chunks = list(pieces)
        number = offset // len(chunks[0]) if chunks else 0
        left = offset - number * len(chunks[0]) if chunks else 0
        for chunk in chunks[number:]:
            if chunk[left:]:
                yield chunk[left:]
            left = 0


@caught_by("test_any_offset_is_found_however_the_bytes_were_cut")
class BeginsWithTheNextChunkAtAnEdge(PlainStore):
    """Is one off where an offset is the last byte of a chunk."""

    def skipped(self, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
        left = offset
        for piece in pieces:
            if left < len(piece) - (left > 0):
                yield piece[left:]
            left = max(0, left - len(piece))
