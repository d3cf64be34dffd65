"""Receives uploaded contents into the store: streamed from the event loop into a worker thread, in constant memory."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace

from kharvest.server.announcement import Announced, Announcement, Fate
from kharvest.server.config import MAX_CHUNK_BYTES, ServerConfig
from kharvest.server.elections import Election, Elections
from kharvest.server.errors import ContentTooLarge, NotAsked, Stalled
from kharvest.server.ledger import Ledger
from kharvest.server.metrics import Metrics
from kharvest.spi import Content, ContentMismatch, KharvestError, Signature, Store


class Receiver:
    """Takes uploads of both protocols. Used on one event loop; writes to the store on worker threads."""

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
        self._slots = asyncio.Semaphore(config.max_uploads)

    async def receive(self, announcement: Announcement, chunks: AsyncIterator[bytes]) -> bool:
        """Store the content of the announcement's one file and record its reference; whether it was there already.

        When this returns, both are durable.

        Raises:
            NotAsked: this pod was not asked for it, or not any more.
            ContentTooLarge, ContentMismatch, Stalled, StoreError: nothing is visible; another pod is asked.
        """
        try:
            return await self._receive(announcement, chunks)
        except (asyncio.CancelledError, Stalled):
            self._elections.give_up(announcement.pod)
            raise

    async def receive_whole(self, announcement: Announcement, data: bytes) -> None:
        """The same for a content that came in one message, asked for or not: its MD5 is checked, which proves it.

        Raises:
            ContentMismatch: the bytes have another MD5; nothing is stored, another pod is asked.
            StoreError: the same.
        """
        (file,) = announcement.files
        loop = asyncio.get_running_loop()
        result = "failed"
        with suppress(NotAsked):
            self._elections.begin(announcement.pod, file.signature)
        try:
            async with self._slots:
                content = await loop.run_in_executor(self._executor, self._put_whole, file.signature, data)
            self._metrics.received(len(data))
            await self._record(replace(announcement, files=(Announced(file.signature, content),)))
            result = "stored"
        finally:
            self._elections.end_any(file.signature.md5)
            self._metrics.uploaded(result)

    async def _receive(self, announcement: Announcement, chunks: AsyncIterator[bytes]) -> bool:
        (file,) = announcement.files
        if file.content is None:
            raise AssertionError("an upload has a content")  # the servicer saw to it
        try:
            election = self._elections.begin(announcement.pod, file.signature)
        except NotAsked:
            if await self._is_settled(announcement):
                return True
            raise
        result = "failed"
        try:
            if file.content.size > self._config.max_content_bytes:
                raise ContentTooLarge(file.signature.path, file.content.size, self._config.max_content_bytes)
            stored = await self._stream(election, file, file.content, chunks)
            await self._record(announcement)
            result = "stored" if stored else "already_stored"
        finally:
            self._elections.end(election)
            self._metrics.uploaded(result)
        return not stored

    async def _is_settled(self, announcement: Announcement) -> bool:
        (outcome,) = await self._ledger.settle(announcement)
        if isinstance(outcome, KharvestError):
            raise outcome
        return outcome is Fate.ACKNOWLEDGED

    async def _record(self, announcement: Announcement) -> None:
        (outcome,) = await self._ledger.settle(announcement)
        if isinstance(outcome, KharvestError):
            raise outcome
        if outcome is not Fate.ACKNOWLEDGED:  # the upload was given up as stalled, or the content removed again
            raise NotAsked(announcement.files[0].signature.path)

    async def _stream(
        self, election: Election, file: Announced, content: Content, chunks: AsyncIterator[bytes]
    ) -> bool:
        """Put the chunks into the store; False if the content arrived meanwhile from elsewhere."""
        loop = asyncio.get_running_loop()
        async with self._slots:
            source = _Source(loop, chunks, election, self._elections, file.signature, self._config.stall_seconds)
            try:
                if content.size <= MAX_CHUNK_BYTES:
                    # Received first: threads that wait for each other cost more than so few bytes.
                    whole = await source.gather(content.size)
                    await loop.run_in_executor(self._executor, self._store.put, content, whole)
                else:
                    putting = loop.run_in_executor(self._executor, self._store.put, content, source)
                    putting.add_done_callback(_look_at)
                    await asyncio.wait([putting])
                    await putting
            except _Superseded:
                return False
            finally:
                source.abandon()  # a client that is gone ends the thread with its next chunk
                self._metrics.received(source.received)
        return True

    def _put_whole(self, signature: Signature, data: bytes) -> Content:
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        content = Content(hashlib.sha256(data).digest(), md5, len(data))
        if md5 != signature.md5:
            raise ContentMismatch(replace(content, md5=signature.md5), "md5", md5.hex())
        self._store.put(content, _pieces(data))
        return content


def _look_at(putting: asyncio.Future[None]) -> None:
    """See its error, if any: when the client is gone nobody awaits it, and asyncio would complain."""
    if not putting.cancelled():
        putting.exception()


def _pieces(data: bytes) -> Iterable[bytes]:
    return (data[start : start + MAX_CHUNK_BYTES] for start in range(0, len(data), MAX_CHUNK_BYTES))


class _Superseded(Exception):
    """The election ended while the upload went on: the content arrived from elsewhere."""


class _Source:
    """The chunks of a stream that belongs to the event loop, for a worker thread to iterate.

    One chunk is read ahead. The store's pace is the stream's: gRPC's flow control slows the sender down.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        chunks: AsyncIterator[bytes],
        election: Election,
        elections: Elections,
        signature: Signature,
        stall_seconds: float,
    ) -> None:
        self._loop = loop
        self._chunks = chunks
        self._election = election
        self._elections = elections
        self._signature = signature
        self._stall_seconds = stall_seconds
        self._next: concurrent.futures.Future[bytes | None] | None = None
        self._abandoned = False
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

    def _ask(self) -> concurrent.futures.Future[bytes | None]:
        self._next = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
        return self._next

    async def _read(self) -> bytes | None:
        if self._abandoned:
            raise asyncio.CancelledError
        try:
            async with asyncio.timeout(self._stall_seconds):
                chunk = await anext(self._chunks, None)
        except TimeoutError:
            raise Stalled(self._signature.path, self._stall_seconds) from None
        if not self._elections.is_running(self._election):
            raise _Superseded
        if chunk is not None:
            self._elections.progress(self._election)
            self.received += len(chunk)
        return chunk
