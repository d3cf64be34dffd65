"""Correct stores that do things as nobody expects: the suite must not take them for broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from threading import Event, Thread
from time import sleep

from kharvest.spi import Order, Page, Query, Reference, encode_cursor
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
    """Gives three references on a page at most, and an empty page first."""

    def page(self, query: Query, found: list[Reference], ranks: list[Rank]) -> Page[Reference]:
        if query.cursor is None and found:
            at_the_start = (-1, 0) if query.order is Order.OLDEST_FIRST else (2**63, 0)
            return Page((), encode_cursor(query, *at_the_start))
        return super().page(replace(query, limit=min(query.limit, 3)), found, ranks)


class Slow(PlainStore):
    """Takes its time for every call."""

    def claim(self, *arguments: object) -> set[bytes]:
        sleep(0.002)
        return super().claim(*arguments)  # type: ignore[arg-type]

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


ODD: dict[str, type[PlainStore]] = {
    store.__name__: store for store in (OtherTieOrder, TinyChunks, ShortPages, Slow, EndsItsThreadsSoon)
}
