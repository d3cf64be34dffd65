"""Receives small contents that came many in one message: a few threads put them, and one commit records them all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from enum import Enum

from kharvest.server.announcement import Announced, Announcement, Fate
from kharvest.server.config import ServerConfig
from kharvest.server.elections import Election, Elections
from kharvest.server.errors import FileChanged, NotAsked, Overloaded
from kharvest.server.ledger import OVERLOADED_RETRY_SECONDS, Ledger
from kharvest.server.metrics import Metrics
from kharvest.spi import Content, KharvestError, Store


class Arrival(Enum):
    """How a content came to be in the store; the pod's reference to it is durable too."""

    STORED = "stored"
    ALREADY_STORED = "already_stored"


@dataclass(slots=True, eq=False)
class _Parcel:
    """One content of a batch. `failure` is why it is not stored; set by whoever finds out."""

    file: Announced
    content: Content
    data: bytes | None
    election: Election | None = None
    failure: KharvestError | None = None

    @property
    def may_be_there(self) -> bool:
        """Whether it was put, or came from elsewhere before this batch did."""
        return self.failure is None or isinstance(self.failure, NotAsked)


class BatchReceiver:
    """Takes batches of small contents. Used on one event loop; writes to the store on worker threads.

    What it holds in memory is bounded: what comes when `max_waiting_bytes` of contents wait for the store is refused.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        ledger: Ledger,
        elections: Elections,
        metrics: Metrics,
        config: ServerConfig,
    ) -> None:
        self._store = store
        self._executor = executor
        self._ledger = ledger
        self._elections = elections
        self._metrics = metrics
        self._config = config
        self._held_bytes = 0

    async def receive(
        self, announcement: Announcement, bodies: Sequence[bytes | None]
    ) -> list[Arrival | KharvestError]:
        """Store the contents of the announcement's files and record its references; for each what became of it.

        `bodies` are the files' bytes; None where the pod has them no longer. An error is why that one is refused:
        NotAsked, FileChanged, ContentMismatch or a StoreError; nothing of it is visible, another pod is asked.

        Raises:
            Overloaded: too much waits for the store; the pod stays asked.
            ShuttingDown, StoreError: no reference was recorded.
        """
        size = sum(len(body) for body in bodies if body is not None)
        if self._held_bytes and self._held_bytes + size > self._config.max_waiting_bytes:
            raise Overloaded(f"{self._held_bytes} bytes of contents wait for the store", OVERLOADED_RETRY_SECONDS)
        self._held_bytes += size
        try:
            return await self._receive(announcement, bodies)
        except asyncio.CancelledError:  # the pod is gone
            self._elections.give_up(announcement.pod)
            raise
        finally:
            self._held_bytes -= size

    async def _receive(
        self, announcement: Announcement, bodies: Sequence[bytes | None]
    ) -> list[Arrival | KharvestError]:
        parcels = [_parcel(file, body) for file, body in zip(announcement.files, bodies, strict=True)]
        try:
            for parcel in parcels:
                self._begin(announcement, parcel)
            await self._put([parcel for parcel in parcels if parcel.failure is None])
            await self._record(announcement, [parcel for parcel in parcels if parcel.may_be_there])
        except BaseException:
            self._end(parcels, failed=True)
            raise
        self._end(parcels, failed=False)
        return [parcel.failure or _arrival(parcel) for parcel in parcels]

    def _begin(self, announcement: Announcement, parcel: _Parcel) -> None:
        try:
            parcel.election = self._elections.begin(announcement.pod, parcel.file.signature)
        except NotAsked as error:
            parcel.failure = error
            return
        if parcel.data is None:
            parcel.failure = FileChanged(parcel.file.signature.path)
        else:
            self._elections.arrived(parcel.election)
            self._metrics.received(len(parcel.data))

    async def _put(self, parcels: list[_Parcel]) -> None:
        """Put them on several threads: stores make one commit of what is put at the same time."""
        loop = asyncio.get_running_loop()
        left = deque(parcels)
        threads = min(len(parcels), self._config.max_puts)
        try:
            await asyncio.gather(*(loop.run_in_executor(self._executor, self._work, left) for _ in range(threads)))
        finally:
            left.clear()  # when the pod is gone, what was not begun is left

    def _work(self, left: deque[_Parcel]) -> None:
        while True:
            try:
                parcel = left.popleft()
            except IndexError:
                return
            try:
                self._store.put(parcel.content, () if parcel.data is None else (parcel.data,))
            except KharvestError as error:
                parcel.failure = error

    async def _record(self, announcement: Announcement, parcels: list[_Parcel]) -> None:
        """Record the references to all that is there now, and tell of what is not."""
        settled = await self._ledger.settle(replace(announcement, files=tuple(parcel.file for parcel in parcels)))
        for parcel, outcome in zip(parcels, settled, strict=True):
            if isinstance(outcome, KharvestError):
                parcel.failure = outcome
            elif outcome is Fate.ACKNOWLEDGED:
                parcel.failure = None
            else:
                parcel.failure = NotAsked(parcel.file.signature.path)

    def _end(self, parcels: list[_Parcel], *, failed: bool) -> None:
        for parcel in parcels:
            if parcel.election is not None:
                self._elections.end(parcel.election)
                self._metrics.uploaded("failed" if failed or parcel.failure is not None else "stored")


def _parcel(file: Announced, body: bytes | None) -> _Parcel:
    if file.content is None:
        raise AssertionError("what is uploaded has a content")  # the servicer saw to it
    return _Parcel(file, file.content, body)


def _arrival(parcel: _Parcel) -> Arrival:
    return Arrival.ALREADY_STORED if parcel.election is None else Arrival.STORED
