"""The path of announcements: what the store knows is recorded; for the rest uploaders are elected, and others held."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from kharvest.server._announcement import Announcement, FileAnswer, FileStatus
from kharvest.server._budget import MESSAGE, Budget
from kharvest.server._candidacy import Candidacy, Turn
from kharvest.server._config import ServerConfig
from kharvest.server._elections import Elections
from kharvest.server._metrics import Metrics
from kharvest.server._record_queue import RecordQueue

WhenUndelivered = Callable[[Callable[[], None]], None]


class AnnounceHandler:
    """Answers announcements, of both protocols. Used on one event loop.

    `memory` is what announcements that are held may take; what finds no room there is not held.
    """

    def __init__(
        self, queue: RecordQueue, elections: Elections, memory: Budget, metrics: Metrics, config: ServerConfig
    ) -> None:
        self._queue = queue
        self._elections = elections
        self._memory = memory
        self._metrics = metrics
        self._config = config
        self._held = 0
        self._is_draining = False

    def drain(self) -> None:
        """Hold no announcement any more: those that are held are answered now."""
        self._is_draining = True
        self._elections.wake()

    async def announce(
        self,
        announcement: Announcement,
        hold_seconds: float,
        ask_seconds: float,
        when_undelivered: WhenUndelivered,
    ) -> list[FileAnswer]:
        """The answer to each file. None is MISSING: the pod is to upload it, or it is pending.

        Returns as soon as this pod has something to upload. Otherwise it is held while others upload, at most
        `hold_seconds`.

        Args:
            announcement: what the pod has.
            hold_seconds: how long the call may be held.
            ask_seconds: how long the pod may take to begin an upload that it is asked for.
            when_undelivered: is given what to do if the reply does not reach the pod: then others are asked.

        Raises:
            Overloaded, ShuttingDown: try again later.
            StoreError: the store failed. What was acknowledged before stays so, and announcing again is safe.
        """
        files = announcement.files
        answers: list[FileAnswer] = [FileStatus.MISSING] * len(files)
        missing: Sequence[int] = range(len(files))
        deadline = asyncio.get_running_loop().time() + hold_seconds
        with Candidacy(self._elections, announcement.pod, ask_seconds) as candidacy:
            while True:  # hold and look again
                missing = await self._record(announcement, missing, answers)
                turn = await candidacy.stand([files[index] for index in missing])
                if not missing or turn is Turn.UPLOAD:
                    break
                if turn is Turn.WAIT and not await self._hold(candidacy, deadline):
                    break
        for index in missing:
            is_asked = files[index].signature in candidacy.asked
            answers[index] = FileStatus.UPLOAD if is_asked else FileStatus.PENDING
        if candidacy.asked:
            when_undelivered(candidacy.take_back)
        return answers

    async def _record(
        self, announcement: Announcement, indexes: Sequence[int], answers: list[FileAnswer]
    ) -> Sequence[int]:
        """Record the files at these indexes, and note the answers; the indexes of those that are missing."""
        files = tuple(announcement.files[index] for index in indexes)
        part = announcement if len(files) == len(announcement.files) else replace(announcement, files=files)
        recorded = await self._queue.record(part)
        self._metrics.answered(files, recorded)
        for index, answer in zip(indexes, recorded, strict=True):
            answers[index] = answer
        return [index for index in indexes if answers[index] is FileStatus.MISSING]

    async def _hold(self, candidacy: Candidacy, deadline: float) -> bool:
        """Wait for others to upload; whether it is worth looking again."""
        seconds = deadline - asyncio.get_running_loop().time()
        message = MESSAGE.get()
        if (
            seconds <= 0
            or self._is_draining
            or self._held >= self._config.max_held
            or not self._memory.has_room(message.size)
        ):
            return False
        before = message.move(self._memory)
        self._held += 1
        self._metrics.held(self._held)
        try:
            return await candidacy.wait(seconds) and not self._is_draining
        finally:
            message.move(before)
            self._held -= 1
            self._metrics.held(self._held)
