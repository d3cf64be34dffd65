"""Lanes: calls of one kind, bounded in number, and fair to the connections that they come from."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kharvest.server._budget import Budget
from kharvest.server._errors import Overloaded
from kharvest.server._seats import Seats

FULL_RETRY_SECONDS = 2.0
PATIENCE_SECONDS = 0.5
"""How long a message may take to arrive while others wait to be read."""


class Lane:
    """Calls of one kind. Used on one event loop.

    When it is full, a connection's first call is let in all the same: connections are bounded by the system, and one
    costs as much. Other calls take the slot of one that has not been read, of a connection that has more of these.

    Args:
        name: what its calls are, for messages.
        calls: how many may be under way at once.
        readers: how many messages may be on their way into memory at once.
        messages: what messages are charged to, from when they were read until their calls end.
        replies: what replies are charged to until they were taken; None where they are small.
    """

    def __init__(self, name: str, calls: int, readers: int, messages: Budget, replies: Budget | None = None) -> None:
        self.name = name
        self.calls = calls
        self.messages = messages
        self.replies = replies
        self._readers = Seats(readers, PATIENCE_SECONDS)
        self._under_way = 0
        self._by_peer: Counter[str] = Counter()
        self._unread: dict[str, OrderedDict[CallSlot, None]] = {}

    @asynccontextmanager
    async def slot(self, peer: str) -> AsyncIterator[CallSlot]:
        """A slot in the lane, for as long as a call lasts.

        Raises:
            Overloaded: the lane is full.
        """
        if self._under_way >= self.calls and self._by_peer[peer]:
            self._make_room(peer)
        self._under_way += 1
        self._by_peer[peer] += 1
        slot = CallSlot(self, peer)
        self._unread.setdefault(peer, OrderedDict())[slot] = None
        try:
            yield slot
        finally:
            self._under_way -= 1
            self._by_peer[peer] -= 1
            if not self._by_peer[peer]:
                del self._by_peer[peer]
            self.read(slot)

    def read(self, slot: CallSlot) -> None:
        """The call's message has been read: it keeps its slot."""
        unread = self._unread.get(slot.peer)
        if unread is not None and unread.pop(slot, self) is None and not unread:
            del self._unread[slot.peer]

    @property
    def readers(self) -> Seats:
        """For those who read a message."""
        return self._readers

    def _make_room(self, peer: str) -> None:
        crowd = max(self._unread.values(), key=len, default=None)
        if crowd is None or len(crowd) <= len(self._unread.get(peer, ())):
            raise Overloaded(f"{self._under_way} calls of {self.name} are under way", FULL_RETRY_SECONDS)
        next(iter(crowd)).evict()


class CallSlot:
    """A call's slot in a lane."""

    __slots__ = ("_lane", "_scope", "peer")

    def __init__(self, lane: Lane, peer: str) -> None:
        self._lane = lane
        self._scope: asyncio.Timeout | None = None
        self.peer = peer

    @asynccontextmanager
    async def reading(self, seconds: float) -> AsyncIterator[None]:
        """Read the call's message within this, in at most `seconds` once it is its turn.

        Raises:
            Overloaded: the message did not come, or not as fast as others who wait can ask for.
        """
        try:
            async with (
                asyncio.timeout(None) as self._scope,
                self._lane.readers.seat(self.peer) as seat,
                seat.interruptible(seconds),
            ):
                yield
        except TimeoutError:
            raise Overloaded("the call's message did not arrive in time", FULL_RETRY_SECONDS) from None
        finally:
            self._scope = None
            self._lane.read(self)

    def evict(self) -> None:
        """End the call: it has not been read, and others have less."""
        self._lane.read(self)
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())
