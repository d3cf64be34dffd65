"""Correct stores that do things as nobody expects: the suite must not take them for broken."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from dataclasses import replace
from threading import Event, Thread
from time import sleep

from kharvest.spi import Order, Page, Query, Reference, encode_cursor
from kharvest_zoo.odd_calls import ODD_CALLS
from kharvest_zoo.odd_contents import ODD_CONTENTS
from kharvest_zoo.plain import PlainStore, Rank
from kharvest_zoo.state import State


class OtherTieOrder(PlainStore):
    """Orders references of one time by when they came, the last one first."""

    def rank(self, state: State, reference: Reference) -> Rank:
        at, arrival = super().rank(state, reference)
        return at, -arrival


class TinyChunks(PlainStore):
    """Gives contents a few bytes at a time."""

    def pieces(self, kept: object) -> Iterator[bytes]:
        for piece in super().pieces(kept):
            length = max(997, len(piece) // 64)
            for start in range(0, len(piece), length):
                yield piece[start : start + length]


class ShortPages(PlainStore):
    """Gives a few references on a page, whatever it may, and an empty page first."""

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        if query.cursor is None and found:
            at_the_start = (-1, 0) if query.order is Order.OLDEST_FIRST else (2**63, 0)
            return Page((), encode_cursor(query, *at_the_start))
        return super().page(replace(query, limit=min(query.limit, max(3, query.limit // 20))), found, ranks)


class Slow(PlainStore):
    """Takes its time for every call."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        sleep(0.002)
        return super().claim(keys, holder, now_ns, until_ns)

    def matching(self, state: State, query: Query) -> list[Reference]:
        sleep(0.002)
        return super().matching(state, query)


class EndsItsThreadsSoon(PlainStore):
    """Has threads that see that they should end after their nap only, as the monitors of PyMongo do."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._closed = Event()
        for _ in range(2):
            Thread(target=self._watch, daemon=True).start()

    def close(self) -> None:
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.is_set():
            sleep(1)


class Warns(PlainStore):
    """Stands on a library that warns, as aiohttp does of large bodies."""

    def claim(self, keys: Collection[bytes], holder: str, now_ns: int, until_ns: int) -> set[bytes]:
        warnings.warn("this library will change", DeprecationWarning, stacklevel=2)
        warnings.warn("this costs much at once", ResourceWarning, stacklevel=2)
        return super().claim(keys, holder, now_ns, until_ns)


ODD: dict[str, type[PlainStore]] = (
    {store.__name__: store for store in (OtherTieOrder, TinyChunks, ShortPages, Slow, EndsItsThreadsSoon, Warns)}
    | ODD_CALLS
    | ODD_CONTENTS
)
