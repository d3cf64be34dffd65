"""Faults that show with many at once, with long strings, and at the ends of pieces."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from kharvest.spi import (
    Content,
    Metadata,
    Query,
    Reference,
    Signature,
    Timeline,
    decode_cursor,
    encode_cursor,
)
from kharvest_zoo.fault import caught_by
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore, Rank
from kharvest_zoo.state import State

WAYS = 72
"""Connections of a pool."""

# many at once


@caught_by("test_many_puts_that_wait_for_chunks_stop_no_other_call")
class PutsOnAPool(PlainStore):
    """Has sixteen connections to put on, each taken until its content has come."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.pool = threading.BoundedSemaphore(16)

    def keep(self, chunks: Iterable[bytes]) -> object:
        with self.pool:
            return super().keep(chunks)


@caught_by("test_many_puts_that_wait_for_chunks_stop_no_other_call")
class PutsAndReadsShareAPool(PlainStore):
    """Has one pool for puts and for readers, who give theirs back at the end."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.pool = threading.BoundedSemaphore(WAYS)

    def keep(self, chunks: Iterable[bytes]) -> object:
        with self.pool:
            return super().keep(chunks)

    def pieces(self, kept: object) -> Iterator[bytes]:
        self.pool.acquire()
        try:
            yield from super().pieces(kept)
        finally:
            self.pool.release()


@caught_by("test_a_content_that_comes_from_elsewhere_while_it_is_put_is_there_once")
class ListsWhatMetTwice(PlainStore):
    """Adds a content to its list when its chunks have come, and does not look again whether another has added it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.listed: list[Content] = []

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if self.present([content.sha256]):
            return
        super().put(content, chunks)
        self.listed.append(content)

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        there = [one for one in self.listed if one.sha256 in self.state.contents and one.sha256 > after]
        return iter(sorted(there, key=lambda one: one.sha256))


@caught_by("test_a_content_that_comes_from_elsewhere_while_it_is_put_is_there_once")
class PiecesOfBoth(PlainStore):
    """Keeps pieces by their content, and adds those of a second put behind those of the first."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        with self.session() as state:
            if content.sha256 in state.contents:
                return
        kept = list(chunks)
        with self.session() as state:
            before = state.contents.get(content.sha256)
            earlier = list(self.pieces(before[1])) if before else []
            state.contents[content.sha256] = (content, [*earlier, *kept])


# contents


@caught_by("test_reading_what_is_not_there_raises_unknown_content")
class ReadsNothingFarAway(PlainStore):
    """Answers at once that there is nothing beyond the largest object that the service takes."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        return iter(()) if offset >= 2**32 else super().read(sha256, offset)


@caught_by("test_sizes_and_offsets_beyond_32_bits_are_exact")
class KnowsSizesIn32Bits(PlainStore):
    """Has the size in an INTEGER beside each file, and in a BIGINT beside each content."""

    def file_of(self, state: State, signature: Signature) -> Content | None:
        found = super().file_of(state, signature)
        return found and replace(found, size=min(found.size, 2**31 - 1))


@caught_by("test_a_large_content_costs_no_memory")
class JoinsToSkip(FiledStore):
    """Joins a content to cut it at the offset, when there is one."""

    def skipped(self, pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
        if not offset:
            return pieces
        whole = b"".join(pieces)[offset:]
        return (whole[at : at + 65_536] for at in range(0, len(whole), 65_536))


# cursors


@caught_by("test_times_that_differ_by_a_nanosecond_are_told_apart")
class CursorsInSeconds(PlainStore):
    """Reads the time of a cursor as a float of seconds."""

    def start(self, query: Query, ranks: list[Rank]) -> int:
        position = decode_cursor(query)
        if position is None:
            return 0
        at, arrival = (int(one) for one in position)
        asked = replace(query, cursor=None)
        moved = replace(query, cursor=encode_cursor(asked, int(at / 1e9 * 1e9), arrival))
        return super().start(moved, ranks)


# strings


@caught_by("test_strings_of_any_length_come_back_whole")
class MetadataIn64KiB(PlainStore):
    """Writes the length of all pairs in sixteen bits; what is too long is cut."""

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        left, kept = 65_535, {}
        for key, value in reference.metadata.items():
            left -= len(key) + len(value)
            if left >= 0:
                kept[key] = value
        super().add(state, files, replace(reference, metadata=Metadata(kept)))


@caught_by("test_strings_of_any_length_come_back_whole")
class PathsOf2047(PlainStore):
    """Has a column of 2047 bytes for paths, on a server that cuts in silence."""

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        signature = reference.signature
        path = signature.path.encode()[:2047].decode(errors="ignore")
        short = replace(signature, path=path)
        if short != signature:
            files = {**files, short: files[signature]} if signature in files else files
        super().add(state, files, replace(reference, signature=short))


@caught_by("test_runs_of_one_character_keep_their_length")
class JoinsBlanks(PlainStore):
    """Makes one blank of several in values, as HTML does."""

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        pairs = {key: value.replace("  ", " ") for key, value in reference.metadata.items()}
        super().add(state, files, replace(reference, metadata=Metadata(pairs)))


@caught_by("test_runs_of_one_character_keep_their_length")
class UndoublesQuotes(PlainStore):
    """Takes two quotes in a pod's name for an escaped one."""

    def add(self, state: State, files: Mapping[Signature, Content], reference: Reference) -> None:
        pod = replace(reference.pod, name=reference.pod.name.replace("''", "'"))
        super().add(state, files, replace(reference, pod=pod))


# pieces


@caught_by("test_no_item_is_lost_between_the_pieces_of_a_batch")
class AppendsWholePieces(PlainStore):
    """Writes pieces of a thousand, and stops before a last piece of one."""

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        items = list(references)
        answer = super().append(files, items)
        if len(items) % 1000 == 1 and len(items) > 1:
            with self.session() as state:
                del state.references[answer[-1]]
        return answer


@caught_by("test_no_item_is_lost_between_the_pieces_of_a_batch")
class KnowsWholePieces(PlainStore):
    """Asks in pieces of 4096, as many as there are whole ones."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        asked = list(signatures)
        return super().known(asked[: len(asked) // 4096 * 4096] if len(asked) > 4096 else asked)


@caught_by("test_no_item_is_lost_between_the_pieces_of_a_batch")
class NewestBetweenPieces(PlainStore):
    """Begins each piece of 2048 one too late."""

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return super().newest([one for number, one in enumerate(timelines) if number % 2049 != 2048])


@caught_by("test_no_item_is_lost_between_the_pieces_of_a_batch")
class ReleasesWholePieces(PlainStore):
    """Ends leases in pieces of 500, and stops before a last piece of one."""

    def release(self, keys: Collection[bytes], holder: str) -> None:
        asked = list(keys)
        super().release(asked[:-1] if len(asked) > 500 and len(asked) % 500 == 1 else asked, holder)
