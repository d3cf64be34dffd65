"""Uploads that arrive in chunks: from the event loop into a worker thread, in constant memory."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Iterator

from kharvest.server._config import ServerConfig
from kharvest.server._elections import Elections
from kharvest.server._errors import GaveWay, Stalled
from kharvest.server._missing import Election
from kharvest.server._seats import Seat


class Superseded(Exception):
    """The election ended while the upload went on: the content arrived from elsewhere."""


class UploadStream:
    """The chunks of a stream that belongs to the event loop, for a worker thread to iterate.

    One chunk is read ahead. The store's pace is the stream's: gRPC's flow control slows the sender down. Only the time
    in which the server waits for the sender counts against it.
    """

    def __init__(
        self, chunks: AsyncIterator[bytes], election: Election, elections: Elections, config: ServerConfig
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._chunks = chunks
        self._election = election
        self._elections = elections
        self._config = config
        self._next: concurrent.futures.Future[bytes | None] | None = None
        self._abandoned = False
        self._waited_seconds = 0.0
        self._begun = self._loop.time()
        self.seat: Seat | None = None
        self.received = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            pending = self._next or self._ask()
            chunk = pending.result()
            if chunk is None:
                return
            self._next = self._ask()
            yield chunk

    async def gather(self, size: int) -> list[bytes]:
        """All chunks, on the loop; when they are more than `size` bytes, enough of them to show it."""
        chunks = []
        while self.received <= size and (chunk := await self._read()) is not None:
            chunks.append(chunk)
        return chunks

    def abandon(self) -> None:
        """End the iteration with an error; called on the loop."""
        self._abandoned = True
        if self._next is not None:
            self._next.cancel()

    def pace(self) -> float:
        """Bytes a second so far."""
        return self.received / max(self._loop.time() - self._begun, 0.001)

    def _ask(self) -> concurrent.futures.Future[bytes | None]:
        self._next = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
        return self._next

    async def _read(self) -> bytes | None:
        if self._abandoned:
            raise asyncio.CancelledError
        started = self._loop.time()
        seconds = self._patience()
        try:
            async with self.seat.interruptible(seconds) if self.seat is not None else asyncio.timeout(seconds):
                chunk = await anext(self._chunks, None)
        except TimeoutError:
            if self.seat is not None and self.seat.is_evicted:
                raise GaveWay(f"the upload of {self._election.path}") from None
            waited = self._waited_seconds + self._loop.time() - started
            raise Stalled(self._election.path, waited, self.received) from None
        self._waited_seconds += self._loop.time() - started
        if not self._elections.is_running(self._election):
            raise Superseded
        if chunk is not None:
            self._elections.progress(self._election)
            self.received += len(chunk)
        return chunk

    def _patience(self) -> float:
        """How long the next chunk may take: none may stall, and all together must have a pace."""
        stall = self._config.stall_seconds
        return min(stall, max(0.0, stall + self.received / self._config.min_upload_rate - self._waited_seconds))
