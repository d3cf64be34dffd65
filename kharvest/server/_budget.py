"""Bytes that callers can make the server hold: every kind has a bound, and all bounds are shares of one ceiling."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kharvest.server._config import ServerConfig
from kharvest.server._errors import Overloaded

FULL_RETRY_SECONDS = 2.0
READER_BYTES = 2 * 1024 * 1024
"""What one reader of a content takes: a chunk of the store's, and what is sent of it."""


class Budget:
    """Bytes of one kind, at most `limit` at once. Used on one event loop."""

    def __init__(self, kind: str, limit: int) -> None:
        self.kind = kind
        self.limit = limit
        self.used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def has_room(self, size: int) -> bool:
        """Whether so many bytes fit now. What is larger than all of the budget fits while nothing else is held."""
        return self.used == 0 or self.used + size <= self.limit

    async def charge(self, size: int, seconds: float) -> Charge:
        """Take so many bytes, waiting for room in the order of arrival.

        Raises:
            Overloaded: no room came within `seconds`.
        """
        if self._waiting or not self.has_room(size):
            await self._wait(size, seconds)
        return self.take(size)

    def take(self, size: int) -> Charge:
        """Take so many bytes whatever there is room for: for bytes that are held already."""
        self.used += size
        return Charge(self, size)

    def give(self, size: int) -> None:
        """Give bytes back, and let those who wait go on."""
        self.used -= size
        while self._waiting and self.has_room(self._waiting[0][0]):
            _size, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return  # it takes its bytes when it runs, and wakes the next one

    async def _wait(self, size: int, seconds: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (size, turn)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except TimeoutError:
            raise Overloaded(f"{self.used} bytes of {self.kind} are held", FULL_RETRY_SECONDS) from None
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
            self.give(0)


class Charge:
    """Bytes taken from a budget; a context manager that gives them back."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: Budget, size: int) -> None:
        self._budget = budget
        self.size = size

    async def grow(self, size: int, seconds: float) -> None:
        """Take so many bytes more.

        Raises:
            Overloaded: no room came within `seconds`.
        """
        await self._budget.charge(size, seconds)
        self.size += size

    def move(self, budget: Budget) -> Budget:
        """Take these bytes from another budget instead; the one that they were taken from."""
        before, self._budget = self._budget, budget
        before.give(self.size)
        budget.used += self.size
        return before

    def give(self) -> None:
        """Give the bytes back; once."""
        self._budget.give(self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.give()


MESSAGE: ContextVar[Charge] = ContextVar("MESSAGE")
"""What the message of the call that is being answered is charged with."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The shares of `max_memory_bytes`: half of it is for messages that are on their way into memory.

    Attributes:
        readers: such messages at once; each may be as large as the port allows.
        original_readers: the same on the port for large messages of the original protocol.
        messages: what was read and is being worked on.
        original: contents that came in one message on that port.
        held: announcements that wait for another pod's upload.
        contents: contents that are here whole before they go to the store.
        replies: replies that were not taken yet.
        content_readers: contents that may be sent at once.
    """

    readers: int
    original_readers: int
    messages: Budget
    original: Budget
    held: Budget
    contents: Budget
    replies: Budget
    content_readers: int

    @classmethod
    def of(cls, config: ServerConfig) -> Memory:
        """The shares that a configuration amounts to."""
        ceiling = config.max_memory_bytes
        original = ceiling // 2 if config.listen_original is not None else 0
        share = (ceiling - original) // 8
        return cls(
            readers=max(1, 4 * share // config.message_bytes),
            original_readers=max(1, original // 2 // config.max_original_bytes),
            messages=Budget("messages", share),
            original=Budget("contents of original clients", original // 2),
            held=Budget("held announcements", share),
            contents=Budget("contents", share),
            replies=Budget("replies", share // 2),
            content_readers=max(1, share // 2 // READER_BYTES),
        )
