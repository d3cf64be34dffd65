"""Correct stores whose calls go unusual ways, or whose answers look so: the suite must not take them for broken."""

from __future__ import annotations

import random
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import sleep

from kharvest.spi import Content, Page, Query, Reference, Signature, Timeline
from kharvest_zoo.plain import PlainStore, Rank
from kharvest_zoo.state import State

_YEAR_NS = 365 * 86_400 * 10**9


class GivesSubclasses(PlainStore):
    """Gives dictionaries that can do more, each the caller's own."""

    def known(self, signatures: Collection[Signature]) -> dict[Signature, Content]:
        found: dict[Signature, Content] = defaultdict(None)
        found.update(super().known(signatures))
        return found

    def newest(self, timelines: Collection[Timeline]) -> dict[Timeline, Reference]:
        return OrderedDict(super().newest(timelines))


class _Bare(Iterator[bytes]):
    """An iterator that is no generator: it cannot be closed."""

    def __init__(self, items: Iterator[bytes]) -> None:
        self._items = items

    def __next__(self) -> bytes:
        return next(self._items)


class HasItsOwnIterators(PlainStore):
    """Reads and lists through iterators without `close`."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        return _Bare(super().read(sha256, offset))

    def contents(self, after: bytes = b"") -> Iterator[Content]:
        return map(replace, super().contents(after))


class UnknownAtTheFirstChunk(PlainStore):
    """Says that a content is not there when its first chunk is drawn."""

    def read(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        yield from super().read(sha256, offset)


class LivesLastYear(PlainStore):
    """Has a clock that is a year behind."""

    def now_ns(self) -> int:
        return super().now_ns() - _YEAR_NS


class RandomTies(PlainStore):
    """Orders references of one time by lot, and keeps that order."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.lots: dict[Reference, int] = {}

    def rank(self, state: State, reference: Reference) -> Rank:
        at, _arrival = super().rank(state, reference)
        return at, self.lots.setdefault(reference, random.getrandbits(60))  # an order, not a secret


class WritesInAnotherThread(PlainStore):
    """Has one thread that writes references; callers wait for it."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.writer = ThreadPoolExecutor(1)

    def close(self) -> None:
        self.writer.shutdown()

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        self.writer.submit(super().record, files, references).result()

    def append(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> list[Reference]:
        return self.writer.submit(super().append, files, references).result()

    def forget(self, query: Query) -> int:
        return self.writer.submit(super().forget, query).result()


class DrawsWhatIsThere(PlainStore):
    """Draws all chunks, also of what is there already."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        kept = list(chunks)
        super().put(content, kept)


class NeverDrawsWhatIsThere(PlainStore):
    """Draws no chunk of what is there already."""

    def put(self, content: Content, chunks: Iterable[bytes]) -> None:
        if not self.present([content.sha256]):
            super().put(content, chunks)


class FarAway(PlainStore):
    """Is a network away: each look at its state takes a while."""

    def present(self, sha256s: Collection[bytes]) -> dict[bytes, Content]:
        sleep(0.003)
        return super().present(sha256s)

    def record(self, files: Mapping[Signature, Content], references: Sequence[Reference]) -> None:
        sleep(0.003)
        super().record(files, references)

    def references(self, query: Query) -> Page[Reference]:
        sleep(0.003)
        return super().references(query)


ODD_CALLS: dict[str, type[PlainStore]] = {
    store.__name__: store
    for store in (
        GivesSubclasses,
        HasItsOwnIterators,
        UnknownAtTheFirstChunk,
        LivesLastYear,
        RandomTies,
        WritesInAnotherThread,
        DrawsWhatIsThere,
        NeverDrawsWhatIsThere,
        FarAway,
    )
}
