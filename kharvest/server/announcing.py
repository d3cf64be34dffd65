"""What the server does with an announcement: settle what the store knows, elect uploaders for the rest, or wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from kharvest.server.announcement import Announcement, Fate, Outcome
from kharvest.server.config import ServerConfig
from kharvest.server.elections import Elections
from kharvest.server.ledger import Ledger
from kharvest.server.metrics import Metrics
from kharvest.spi import Signature


class Announcer:
    """Answers announcements, of both protocols. Used on one event loop."""

    def __init__(self, ledger: Ledger, elections: Elections, metrics: Metrics, config: ServerConfig) -> None:
        self._ledger = ledger
        self._elections = elections
        self._metrics = metrics
        self._config = config
        self._held = 0
        self._draining = False

    def drain(self) -> None:
        """Hold no announcement any more: those that are held are answered now."""
        self._draining = True
        self._elections.wake()

    async def announce(self, announcement: Announcement, hold_seconds: float, ask_seconds: float) -> list[Outcome]:
        """What becomes of each file. Nothing is MISSING in the end: it is to be uploaded, or pending.

        Returns as soon as this pod has something to upload. Otherwise it is held while others upload, at most
        `hold_seconds`.

        Raises:
            Overloaded, ShuttingDown: try again later.
            StoreError: the store failed. What was acknowledged before stays so, and announcing again is safe.
        """
        outcomes: list[Outcome] = [Fate.MISSING] * len(announcement.files)
        missing: Sequence[int] = range(len(announcement.files))
        deadline = asyncio.get_running_loop().time() + hold_seconds
        while missing := await self._settle(announcement, missing, outcomes):
            lacking = [announcement.files[index].signature for index in missing]
            asked = await self._elections.elect(announcement.pod, lacking, ask_seconds)
            if asked:
                asked = await self._still_lacking(announcement, missing, asked, outcomes)
                missing = [index for index in missing if outcomes[index] is Fate.MISSING]
            if asked or not await self._hold(lacking, deadline):
                for index in missing:
                    outcomes[index] = Fate.UPLOAD if announcement.files[index].signature in asked else Fate.PENDING
                break
        return outcomes

    async def _settle(
        self, announcement: Announcement, indexes: Sequence[int], outcomes: list[Outcome]
    ) -> Sequence[int]:
        """Settle the files at these indexes, and note their outcomes; the indexes of those that are missing."""
        part = replace(announcement, files=tuple(announcement.files[index] for index in indexes))
        settled = await self._ledger.settle(part)
        self._metrics.settled(part.files, settled)
        for index, outcome in zip(indexes, settled, strict=True):
            outcomes[index] = outcome
        return [index for index in indexes if outcomes[index] is Fate.MISSING]

    async def _still_lacking(
        self, announcement: Announcement, missing: Sequence[int], asked: set[Signature], outcomes: list[Outcome]
    ) -> set[Signature]:
        """Those of `asked` that the store lacks now that their claims are ours.

        Between our look and our claim another server may have stored the content and released its claim.
        """
        won = [index for index in missing if announcement.files[index].signature in asked]
        lacking = {announcement.files[index].signature for index in await self._settle(announcement, won, outcomes)}
        for signature in asked - lacking:
            self._elections.end_any(signature.md5)
        return lacking

    async def _hold(self, lacking: list[Signature], deadline: float) -> bool:
        """Wait for others to upload; whether it is worth looking again."""
        seconds = deadline - asyncio.get_running_loop().time()
        if seconds <= 0 or self._draining or self._held >= self._config.max_held:
            return False
        self._held += 1
        self._metrics.held(self._held)
        try:
            return await self._elections.wait(lacking, seconds) and not self._draining
        finally:
            self._held -= 1
            self._metrics.held(self._held)
