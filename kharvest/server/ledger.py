"""Group commit: while one group of announcements is settled, the next one collects. No timers."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Executor
from dataclasses import dataclass

from kharvest.server.announcement import Announcement, Outcome
from kharvest.server.config import ServerConfig
from kharvest.server.errors import Overloaded, ShuttingDown
from kharvest.server.settling import Settler

OVERLOADED_RETRY_SECONDS = 2.0


@dataclass(slots=True)
class _Waiting:
    announcement: Announcement
    outcome: asyncio.Future[list[Outcome]]


class Ledger:
    """Takes announcements from any number of calls, and settles them in groups on one worker thread.

    Used on one event loop, which owns the queue. The queue is bounded by the number of references in it: when it is
    full, callers with as many references again wait for room; when none comes, or more callers do, they are refused.
    """

    def __init__(self, settler: Settler, executor: Executor, config: ServerConfig) -> None:
        self._settler = settler
        self._executor = executor
        self._config = config
        self._queue: deque[_Waiting] = deque()
        self._queued_references = 0
        self._outside_references = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Condition()
        self._committing: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Start the task that commits; `close` stops it."""
        self._committing = asyncio.create_task(self._commit(), name="ledger")

    async def close(self) -> None:
        """Settle what is queued, and stop. What is announced from now on is refused."""
        self._closing = True
        self._filled.set()
        if self._committing is not None:
            await self._committing

    async def settle(self, announcement: Announcement) -> list[Outcome]:
        """What became of each file: ACKNOWLEDGED (it is durable), MISSING, or why it is refused.

        Raises:
            Overloaded: the queue stayed full.
            ShuttingDown: the ledger is closed.
            StoreError: the store failed; nothing of this announcement is acknowledged.
        """
        if not announcement.files:
            return []
        await self._room(len(announcement.files))
        if self._closing:
            raise ShuttingDown
        waiting = _Waiting(announcement, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued_references += len(announcement.files)
        self._filled.set()
        return await waiting.outcome

    async def _room(self, files: int) -> None:
        def is_there() -> bool:
            return not self._queue or self._queued_references + files <= self._config.max_queued_references

        if is_there():
            return
        what = f"{self._queued_references} references wait for the store"
        if self._outside_references + files > self._config.max_queued_references:
            raise Overloaded(what, OVERLOADED_RETRY_SECONDS)
        self._outside_references += files
        try:
            async with asyncio.timeout(self._config.busy_seconds), self._drained:
                await self._drained.wait_for(is_there)
        except TimeoutError:
            raise Overloaded(what, OVERLOADED_RETRY_SECONDS) from None
        finally:
            self._outside_references -= files

    async def _commit(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            group = self._take()
            if not group:
                if self._closing:
                    return
                self._filled.clear()
                continue
            async with self._drained:
                self._drained.notify_all()
            announcements = [waiting.announcement for waiting in group]
            try:
                outcomes = await loop.run_in_executor(self._executor, self._settler.settle, announcements)
            except Exception as error:  # noqa: BLE001 - whatever it is, every caller of this group is told
                for waiting in group:
                    if not waiting.outcome.done():
                        waiting.outcome.set_exception(error)
                continue
            for waiting, outcome in zip(group, outcomes, strict=True):
                if not waiting.outcome.done():  # a caller that gave up
                    waiting.outcome.set_result(outcome)

    def _take(self) -> list[_Waiting]:
        """The next group, in the order of arrival; empty only when nobody waits."""
        group: list[_Waiting] = []
        references = 0
        while self._queue and references < self._config.max_commit_references:
            waiting = self._queue.popleft()
            self._queued_references -= len(waiting.announcement.files)
            if not waiting.outcome.done():
                references += len(waiting.announcement.files)
                group.append(waiting)
        return group
