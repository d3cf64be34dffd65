"""Places of which there are few, for work that must not be held up by whoever is slow.

Whoever waits longer than a patience asks the slowest holder for its seat: one that has been there for as long, and
that its owner finds slow. Those who wait take turns by their peers, so that a crowd on one connection is one of many.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kharvest.server._deadlines import Deadlines


class Seat:
    """A place that is held. Its holder works within it, and is interrupted by TimeoutError when it must leave."""

    def __init__(self, pace: Callable[[], float]) -> None:
        self.since = asyncio.get_running_loop().time()
        self.pace = pace
        self.is_evicted = False
        self._scope: asyncio.Timeout | None = None

    @asynccontextmanager
    async def interruptible(self, seconds: float | None) -> AsyncIterator[None]:
        """Work that ends with TimeoutError after `seconds`, or when the seat is needed by others."""
        if self.is_evicted:
            raise TimeoutError
        try:
            async with asyncio.timeout(seconds) as self._scope:
                yield
        finally:
            self._scope = None

    def evict(self) -> None:
        """Have the holder leave: now if it can be interrupted, else the next time that it could be."""
        self.is_evicted = True
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())


class Seats:
    """A number of seats. Used on one event loop.

    Args:
        number: how many there are.
        patience_seconds: how long somebody waits before a slow holder must leave, and how long that one may stay.
        slow: the pace below which a holder is slow, in the unit of `Seat.pace`; holders that are not keep their seats.
    """

    def __init__(self, number: int, patience_seconds: float, slow: float = float("inf")) -> None:
        self._free = number
        self._patience = patience_seconds
        self._slow = slow
        self._taken: set[Seat] = set()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._impatient = Deadlines[asyncio.Future[None]](self._evict_for)
        self._newcomers: dict[str, None] = {}
        self._is_newest_next = False

    @asynccontextmanager
    async def seat(self, peer: str, pace: Callable[[], float] = lambda: 0.0) -> AsyncIterator[Seat]:
        """Hold a seat, after waiting for it. `pace` tells how fast the work goes; the slowest one leaves first."""
        if self._free and not self._waiting:
            self._free -= 1
        else:
            await self._wait(peer)
        seat = Seat(pace)
        self._taken.add(seat)
        try:
            yield seat
        finally:
            self._taken.discard(seat)
            self._release()

    async def _wait(self, peer: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if peer not in self._waiting:
            self._waiting[peer] = deque()
            self._newcomers[peer] = None
        self._waiting[peer].append(turn)
        self._impatient.set(turn, asyncio.get_running_loop().time() + self._patience)
        try:
            await asyncio.wait([turn])
        except BaseException:
            if turn.done():
                self._release()  # it was given a seat while it was leaving
            else:
                self._waiting[peer].remove(turn)
                self._forget_if_idle(peer)
            raise
        finally:
            self._impatient.drop(turn)

    def _forget_if_idle(self, peer: str) -> None:
        if not self._waiting[peer]:
            del self._waiting[peer]
            self._newcomers.pop(peer, None)

    def _release(self) -> None:
        """Give a seat that has become free to the next peer's first, or keep it free.

        Every other seat goes to the peer that came last and has not had one: when more come than can be served within
        their deadlines, these are answered in time, while in the order of arrival all would be answered too late.
        """
        if not self._waiting:
            self._free += 1
            return
        self._is_newest_next = not self._is_newest_next
        if self._is_newest_next and self._newcomers:
            peer, _ = self._newcomers.popitem()
        else:
            peer = next(iter(self._waiting))
            self._newcomers.pop(peer, None)
        self._waiting[peer].popleft().set_result(None)
        self._waiting.move_to_end(peer)
        self._forget_if_idle(peer)

    def _evict_for(self, impatient: list[asyncio.Future[None]]) -> None:
        """These have waited for the patience, and will have done so again."""
        for turn in impatient:
            if not turn.done():
                self._evict_slowest()
                self._impatient.set(turn, asyncio.get_running_loop().time() + self._patience)

    def _evict_slowest(self) -> None:
        overdue = asyncio.get_running_loop().time() - self._patience
        slow = [
            (pace, seat.since, seat)
            for seat in self._taken
            if seat.since <= overdue and not seat.is_evicted and (pace := seat.pace()) < self._slow
        ]
        if slow:
            min(slow, key=lambda one: one[:2])[2].evict()
