"""The queue of announcements that wait to be recorded: bounded, and emptied in groups. No timers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from kharvest.server._announcement import Announcement, FileAnswer
from kharvest.server._config import ServerConfig
from kharvest.server._errors import Overloaded, ShuttingDown
from kharvest.server._recording import IN_PARTS
from kharvest.spi import MAX_BATCH, MAX_BATCH_BYTES, GroupCommit

OVERLOADED_RETRY_SECONDS = 2.0

Record = Callable[[Sequence[Announcement]], Sequence[list[FileAnswer]]]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """An announcement, and who waits for the answers to its files."""

    announcement: Announcement
    answers: asyncio.Future[list[FileAnswer]]


class RecordQueue:
    """Takes announcements from any number of calls, and has them recorded in groups on one worker thread.

    Used on one event loop, which owns the queue. The queue is bounded by the number of references in it: when it is
    full, callers with as many references again wait for room; when none comes, or more callers do, they are refused.
    No group is more than a store is given in one call, but for a single announcement, which `record` cuts.
    """

    def __init__(self, record: Record, executor: Executor, config: ServerConfig) -> None:
        self._groups: GroupCommit[_Waiting, list[FileAnswer]] = GroupCommit(
            lambda group: record([one.announcement for one in group]),
            is_shared=lambda error: not isinstance(error, IN_PARTS),
            weigh=lambda one: (len(one.announcement.files), one.announcement.batch_bytes()),
            max_items=min(config.max_commit_references, MAX_BATCH),
            max_bytes=MAX_BATCH_BYTES,
            closed=ShuttingDown,
        )
        self._executor = executor
        self._config = config
        self._outside_references = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Condition()
        self._committing: asyncio.Task[None] | None = None
        self._is_closing = False

    def start(self) -> None:
        """Start the task that commits; `close` stops it."""
        self._committing = asyncio.create_task(self._commit(), name="record queue")

    async def close(self) -> None:
        """Record what is queued, and stop. What is announced from now on is refused."""
        self._groups.close()
        self._is_closing = True
        self._filled.set()
        if self._committing is not None:
            await self._committing

    async def record(self, announcement: Announcement) -> list[FileAnswer]:
        """The answer to each file: ACKNOWLEDGED (it is durable), MISSING, or why it is refused.

        Raises:
            Overloaded: the queue stayed full.
            ShuttingDown: the queue is closed.
            StoreError: the store failed; nothing of this announcement is acknowledged.
        """
        if not announcement.files:
            return []
        await self._room(len(announcement.files))
        answers: asyncio.Future[list[FileAnswer]] = asyncio.get_running_loop().create_future()
        entry = self._groups.add(_Waiting(announcement, answers))
        self._filled.set()
        try:
            return await answers
        except asyncio.CancelledError:
            entry.is_abandoned = True
            raise

    async def _room(self, files: int) -> None:
        def is_there() -> bool:
            waiting = self._groups.waiting_items
            return not waiting or waiting + files <= self._config.max_queued_references

        if is_there():
            return
        what = f"{self._groups.waiting_items} references wait for the store"
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
            group = self._groups.take()
            if not group:
                if self._is_closing:
                    return
                self._filled.clear()
                continue
            async with self._drained:
                self._drained.notify_all()
            for entry in await loop.run_in_executor(self._executor, self._groups.commit, group):
                answers = entry.item.answers
                if answers.done():  # a caller that gave up
                    continue
                if entry.error is not None:
                    answers.set_exception(entry.error)
                else:
                    answers.set_result(entry.result())
