"""One announcement that stands for election: what its pod was asked for, and what is known of that since."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from types import TracebackType
from typing import Self

from kharvest.server._announcement import Announced
from kharvest.server._elections import Elections
from kharvest.spi import Pod, Signature


class Turn(Enum):
    """What an announcement does next."""

    UPLOAD = "upload"
    """The store lacks what the pod was asked for: it is to upload."""
    LOOK = "look"
    """The pod has just been asked. Before the claim was ours, another server may have stored the content."""
    WAIT = "wait"
    """Others upload."""


class Candidacy:
    """An announcement's part in the elections; a context manager. On an error the pod is asked for nothing."""

    def __init__(self, elections: Elections, pod: Pod, ask_seconds: float) -> None:
        self._elections = elections
        self._pod = pod
        self._ask_seconds = ask_seconds
        self._lacking: Collection[Announced] = ()
        self.asked: set[Signature] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.take_back()

    async def stand(self, lacking: Collection[Announced]) -> Turn:
        """Stand for the upload of those files of the announcement whose content the store lacks.

        Raises:
            StoreError: the claims failed; the pod was not asked.
        """
        self._lacking = lacking
        signatures = {file.signature for file in lacking}
        for signature in self.asked - signatures:
            self._elections.arrived(signature.md5)
        self.asked &= signatures
        if self.asked:
            return Turn.UPLOAD
        if lacking:
            self.asked = await self._elections.elect(self._pod, lacking, self._ask_seconds)
        return Turn.LOOK if self.asked else Turn.WAIT

    async def wait(self, seconds: float) -> bool:
        """Wait until an election for one of the files has ended, at most so long; whether one has."""
        return await self._elections.wait(self._pod, [file.signature for file in self._lacking], seconds)

    def take_back(self) -> None:
        """The pod was never told what it is asked for: others are asked."""
        self._elections.take_back(self._pod, self.asked)
