"""Faults in contents that many have in hand at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from kharvest.spi import Content, StoreUnavailable, UnknownContent
from kharvest_zoo.fault import caught_by
from kharvest_zoo.faults.content_failures import Staged
from kharvest_zoo.filed import FiledStore
from kharvest_zoo.plain import PlainStore
from kharvest_zoo.state import State


class _ByNumber(PlainStore):
    """Finds each piece when it is wanted, by the content's digest and its number."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        if sha256 not in self.state.contents:
            raise UnknownContent(frozenset({sha256}))
        return self.skipped(self.numbered(sha256), offset)

    def numbered(self, sha256: bytes) -> Iterator[bytes]:
        number = 0
        while True:
            pieces = self.found(sha256)
            if number >= len(pieces):
                return
            yield pieces[number]
            number += 1

    def found(self, sha256: bytes) -> list[bytes]:
        """The pieces of a content now."""
        _content, pieces = self.state.contents.get(sha256, (None, []))
        assert isinstance(pieces, list)
        return pieces


@caught_by("test_a_content_that_is_discarded_while_it_is_read_never_ends_early")
class EndsWhereNothingIs(_ByNumber):
    """Takes a piece that is gone for the end."""


@caught_by("test_a_content_that_is_discarded_while_it_is_read_never_ends_early")
class GoesOnInAnotherBody(_ByNumber):
    """Knows when a content is gone, and not when it is another one's."""

    def found(self, sha256: bytes) -> list[bytes]:
        if sha256 not in self.state.contents:
            raise UnknownContent(frozenset({sha256}))
        return super().found(sha256)


@caught_by("test_a_content_that_is_discarded_while_it_is_read_never_ends_early")
class DiscardsPiecesAtOnce(FiledStore):
    """Deletes the rows of a content with it, from under those who read them."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        with self.session() as state:
            bodies = [state.contents[sha256][1] for sha256 in sha256s if sha256 in state.contents]
            for body in bodies:
                self.database.execute("DELETE FROM piece WHERE body = ?", (body,))
        super().discard(sha256s)


@caught_by("test_a_content_that_is_discarded_while_it_is_read_never_ends_early")
class RaisesWhatItsDictionaryRaises(_ByNumber):
    """Looks for a content that is gone, and ends in the middle of a chunk that is not: an error of no tree."""

    def found(self, sha256: bytes) -> list[bytes]:
        pieces = self.state.contents[sha256][1]
        assert isinstance(pieces, list)
        return pieces


@caught_by("test_a_content_that_another_process_discards_while_it_is_read_never_ends_early")
class SparesReadersOfItsOwn(FiledStore):
    """Keeps the pieces of what is being read, as far as this process knows."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.being_read: set[object] = set()

    def pieces(self, kept: object) -> Iterator[bytes]:
        self.being_read.add(kept)
        try:
            yield from super().pieces(kept)
        finally:
            self.being_read.discard(kept)

    def discard(self, sha256s: Collection[bytes]) -> None:
        with self.session() as state:
            for sha256 in sha256s:
                _content, body = state.contents.pop(sha256, (None, None))
                if body not in self.being_read:
                    self.database.execute("DELETE FROM piece WHERE body = ?", (body,))


@caught_by("test_a_content_that_another_process_discards_while_it_is_read_never_ends_early")
class DropsPiecesThatNobodyNames(FiledStore):
    """Deletes with each discard the rows that no content names, of puts that failed: or are under way elsewhere."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.own: set[str] = set()

    def keep(self, chunks: Iterable[bytes]) -> object:
        body = super().keep(chunks)
        self.own.add(str(body))
        return body

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        with self.session() as state:
            named = {str(body) for _content, body in state.contents.values()} | self.own
            for (body,) in self.database.execute("SELECT DISTINCT body FROM piece").fetchall():
                if body not in named:
                    self.database.execute("DELETE FROM piece WHERE body = ?", (body,))


@caught_by("test_a_put_beside_a_discard_of_its_content_is_there_whole")
class DiscardsWhatIsStaged(Staged):
    """Removes all that there is of a content, also what has come of it so far."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        for one in [one for one in self.staged if isinstance(one, tuple) and one[0] in sha256s]:
            del self.staged[one]


@caught_by("test_a_put_beside_a_discard_of_its_content_is_there_whole")
class RemembersWhatWasDiscarded(Staged):
    """Drops an upload whose content was discarded while it came."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.discarded: set[bytes] = set()

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        self.discarded.discard(content.sha256)
        super().put(content, chunks)
        if content.sha256 in self.discarded:
            PlainStore.discard(self, [content.sha256])

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        self.discarded |= set(sha256s)


@caught_by("test_a_put_beside_a_discard_of_its_content_is_there_whole")
class FailsWhatIsDiscarded(Staged):
    """Takes a discard beside a put for a mistake of its callers."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        self.failed |= {one[0] for one in self.staged if isinstance(one, tuple)} & set(sha256s)

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        super().put(content, chunks)
        if content.sha256 in self.failed:
            self.failed.discard(content.sha256)
            raise StoreUnavailable("this content was discarded while it was put")


@caught_by("test_a_put_beside_a_discard_of_its_content_is_there_whole")
class DropsUnnamedPieces(FiledStore):
    """Deletes with each discard the rows that no content names, of puts that failed: or are under way."""

    def discard(self, sha256s: Collection[bytes]) -> None:
        super().discard(sha256s)
        with self.session() as state:
            named = {str(body) for _content, body in state.contents.values()}
            for (body,) in self.database.execute("SELECT DISTINCT body FROM piece").fetchall():
                if body not in named:
                    self.database.execute("DELETE FROM piece WHERE body = ?", (body,))


@caught_by("test_puts_discards_and_reads_of_one_content_at_once_never_show_a_part")
class RefusesWhileOthersWrite(FiledStore):
    """Waits for nobody: a transaction that finds another one under way fails."""

    def __init__(self, address: str) -> None:
        self.busy = threading.Lock()
        super().__init__(address)

    @contextmanager
    def _transaction(self) -> Iterator[State]:
        if not self.busy.acquire(blocking=False):
            raise StoreUnavailable("database is locked")
        try:
            with super()._transaction() as state:
                yield state
        finally:
            self.busy.release()


@caught_by("test_iterators_left_half_drawn_stop_no_other_call")
class HasAPoolOfReaders(PlainStore):
    """Reads on connections of a pool, each until its reader has come to the end."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.pool = threading.BoundedSemaphore(32)

    def pieces(self, kept: object) -> Iterator[bytes]:
        self.pool.acquire()
        try:
            yield from super().pieces(kept)
        finally:
            self.pool.release()


@caught_by("test_iterators_left_half_drawn_stop_no_other_call")
class LocksWhileItLists(PlainStore):
    """Holds its lock, or its transaction, until the list was drawn to its end."""

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        with self.session():
            yield from super().contents(after)


@caught_by("test_iterators_left_half_drawn_stop_no_other_call")
class ClosesTheOldestReader(PlainStore):
    """Has 48 files open at the most, and ends the reader of the one that was used least."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.open_files: OrderedDict[int, bool] = OrderedDict()
        self.count = 0

    def pieces(self, kept: object) -> Iterator[bytes]:
        self.count += 1
        number = self.count
        self.open_files[number] = True
        if len(self.open_files) > 48:
            self.open_files.popitem(last=False)
        for piece in super().pieces(kept):
            if number not in self.open_files:
                return
            yield piece


@caught_by("test_iterators_left_half_drawn_stop_no_other_call")
class RefusesManyLists(PlainStore):
    """Has 32 cursors."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.cursors = 0

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        if self.cursors >= 32:
            raise StoreUnavailable("too many cursors are open")
        self.cursors += 1
        try:
            yield from super().contents(after)
        finally:
            self.cursors -= 1


@caught_by("test_many_threads_read_one_content_at_once")
class SharesOneFile(PlainStore):
    """Reads each content through one open file, which has one position."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.position: dict[int, int] = {}

    def pieces(self, kept: object) -> Iterator[bytes]:
        assert isinstance(kept, list)
        self.position[id(kept)] = 0
        while self.position[id(kept)] < len(kept):
            self.position[id(kept)] += 1
            yield kept[self.position[id(kept)] - 1]


@caught_by("test_many_threads_read_one_content_at_once")
class RefusesManyReaders(PlainStore):
    """Lets eight read one content, and tells the others to come again."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.readers = 0

    def pieces(self, kept: object) -> Iterator[bytes]:
        if self.readers >= 8:
            raise StoreUnavailable("too many read this content")
        self.readers += 1
        try:
            yield from super().pieces(kept)
        finally:
            self.readers -= 1


@caught_by("test_a_content_is_in_memory_once_at_the_most")
class JoinsWhatItReads(PlainStore):
    """Joins a content before it gives its chunks."""

    def pieces(self, kept: object) -> Iterator[bytes]:
        data = b"".join(super().pieces(kept))
        return (data[start : start + 65_536] for start in range(0, len(data), 65_536))


@caught_by("test_a_content_is_in_memory_once_at_the_most")
class JoinsWhatItKeeps(PlainStore):
    """Joins a content's chunks when all have come, so that it has them twice for a moment."""

    def keep(self, chunks: Iterable[bytes]) -> object:
        return [b"".join(list(chunks))]


@caught_by("test_a_content_is_in_memory_once_at_the_most")
class KeepsACopy(PlainStore):
    """Keeps what was read last, for the next reader."""

    last: bytes = b""

    def pieces(self, kept: object) -> Iterator[bytes]:
        read = bytearray()
        for piece in super().pieces(kept):
            read += piece
            yield piece
        self.last = bytes(read)
