"""The v2 service that people and their tools ask. Reads only; each call is a page or a stream, so memory is bounded."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor
from dataclasses import replace
from typing import TypeVar

from kharvest.globs import Glob
from kharvest.server._config import ServerConfig
from kharvest.server._errors import GaveWay
from kharvest.server._metrics import Metrics
from kharvest.server._missing import PATIENCE_RATE
from kharvest.server._paging import bounded, weight_of_reference, weight_of_summary
from kharvest.server._refusing import Context
from kharvest.server._requests import filter_query, require_digest, require_offset
from kharvest.server._seats import Seats
from kharvest.server._times import timestamp
from kharvest.spi import Content as StoredContent
from kharvest.spi import (
    FileSummary,
    InvalidValue,
    Order,
    Page,
    Query,
    Reference,
    Signature,
    Store,
    UnknownContent,
    follow,
)
from kharvest.wire import v2_pb2 as v2
from kharvest.wire.v2_pb2_grpc import QueryServicer

Item = TypeVar("Item")
SENT_BYTES = 64 * 1024
"""Bytes of a content in one message: what is left of a call in memory while its reader takes nothing."""
READER_PATIENCE_SECONDS = 5.0
"""How long a reader waits for a slow one to leave."""
SCANNED_PAGES = 10
"""Pages of the store that one call looks through for a glob before it answers with what it has, and a cursor."""
SCAN_SECONDS = 2.0
"""After which it looks through no further page."""
MATCH_SECONDS = 2.0
"""Of computing, after which matching the glob is given up: a page of 10,000 paths takes 0.05 s with an ordinary one."""


class _NotTaken(Exception):
    """A message is not taken by its reader. `writing` ends when it is."""

    def __init__(self, writing: asyncio.Future[None]) -> None:
        super().__init__()
        self.writing = writing


class QueryService(QueryServicer):
    """`kharvest.v2.Query`."""

    def __init__(self, store: Store, executor: Executor, readers: int, metrics: Metrics, config: ServerConfig) -> None:
        self._store = store
        self._metrics = metrics
        self._executor = executor
        self._config = config
        self._ask_references = bounded(store.references, weight_of_reference)
        self._ask_files = bounded(store.files, weight_of_summary)
        self._readers = Seats(readers, READER_PATIENCE_SECONDS, slow=PATIENCE_RATE)

    async def References(
        self,
        request: v2.ReferencesRequest,
        context: Context,
    ) -> v2.ReferencesReply:
        """One page of references."""
        query, glob = filter_query(request.filter, request.limit, request.cursor)
        order = Order.NEWEST_FIRST if request.order == v2.NEWEST_FIRST else Order.OLDEST_FIRST
        page, known = await self._search(self._references, replace(query, order=order), glob)
        return v2.ReferencesReply(
            references=[_reference(reference, known.get(reference.signature)) for reference in page.items],
            next_cursor=page.next_cursor or "",
        )

    async def Files(self, request: v2.FilesRequest, context: Context) -> v2.FilesReply:
        """One page of file versions."""
        query, glob = filter_query(request.filter, request.limit, request.cursor)
        page = await self._search(_scan, self._ask_files, query, glob, _summary_path)
        return v2.FilesReply(files=[_summary(item) for item in page.items], next_cursor=page.next_cursor or "")

    async def Content(  # type: ignore[override]  # it writes to the context itself, so that it can stop waiting for that
        self, request: v2.ContentRequest, context: Context
    ) -> None:
        """The bytes of a content. A reader that takes none for long, or is slow while others wait, is ended."""
        content = await self._run(self._content, request.sha256)
        require_offset(request.offset, content)
        try:
            await self._send(content, request.offset, context)
        except _NotTaken as stuck:
            # It is in gRPC's hands until its reader takes it, or goes; no status can be sent before. By now it is all
            # that the server holds for this call.
            await stuck.writing
            raise GaveWay(f"the reader of content {content.sha256.hex()}") from None

    async def _send(self, content: StoredContent, offset: int, context: Context) -> None:
        loop = asyncio.get_running_loop()
        started, sent = loop.time(), 0
        async with self._readers.seat(context.peer(), lambda: sent / max(loop.time() - started, 0.001)) as seat:
            started = loop.time()
            self._metrics.reading(1)

            async def send(reply: v2.ContentReply) -> None:
                writing = asyncio.ensure_future(context.write(reply))
                try:
                    async with seat.interruptible(self._config.read_seconds):
                        await asyncio.shield(writing)
                except TimeoutError:
                    raise _NotTaken(writing) from None

            chunks: Iterator[bytes] = iter(())
            try:
                header = v2.ContentHeader(sha256=content.sha256, md5=content.md5, size=content.size)
                await send(v2.ContentReply(header=header))
                chunks = await self._run(self._store.read, content.sha256, offset)
                while (chunk := await self._run(next, chunks, None)) is not None:
                    for start in range(0, len(chunk), SENT_BYTES):
                        await send(v2.ContentReply(chunk=chunk[start : start + SENT_BYTES]))
                        sent += len(chunk[start : start + SENT_BYTES])
            finally:
                self._metrics.reading(-1)
                if isinstance(chunks, Generator):
                    await self._run(chunks.close)

    async def _run(self, function: Callable[..., Item], *arguments: object) -> Item:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    async def _search(self, function: Callable[..., Item], *arguments: object) -> Item:
        """Run a scan, which ends when the call is cancelled: its caller has gone, or the server has stopped."""
        cancelled = threading.Event()
        try:
            return await self._run(function, *arguments, cancelled)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    def _references(
        self, query: Query, glob: Glob | None, cancelled: threading.Event
    ) -> tuple[Page[Reference], dict[Signature, StoredContent]]:
        page = _scan(self._ask_references, query, glob, _reference_path, cancelled)
        signatures = {item.signature for item in page.items if not item.signature.is_removal}
        return page, self._store.known(signatures) if signatures else {}

    def _content(self, sha256: bytes) -> StoredContent:
        require_digest(sha256)
        content = self._store.present([sha256]).get(sha256)
        if content is None:
            raise UnknownContent(sha256s=frozenset([sha256]))
        return content


def _scan(
    ask: Callable[[Query], Page[Item]],
    query: Query,
    glob: Glob | None,
    path: Callable[[Item], str],
    cancelled: threading.Event,
) -> Page[Item]:
    """A page of what the store gives; with a glob, of what matches it. Then the page may be short, even empty."""
    if glob is None:
        return ask(query)
    ends = time.monotonic() + SCAN_SECONDS
    matching: list[Item] = []
    pages, cursor = 0, query.cursor

    def wanted() -> int:
        """Never more than what is wanted still, so that the cursor stands right behind the last item."""
        if pages and (pages > SCANNED_PAGES or time.monotonic() > ends or cancelled.is_set()):
            return 0
        return query.limit - len(matching)

    for page in follow(lambda cursor, most: ask(replace(query, cursor=cursor, limit=most)), wanted, cursor):
        matching += _matching(page, glob, path, cancelled)
        pages, cursor = pages + 1, page.next_cursor
    return Page(tuple(matching), cursor)


def _matching(page: Page[Item], glob: Glob, path: Callable[[Item], str], cancelled: threading.Event) -> list[Item]:
    """The items that match; none once the call is cancelled, as nobody waits for them.

    Raises:
        InvalidValue: matching takes too long.
    """
    ends = time.thread_time() + MATCH_SECONDS
    matching = []
    for item in page.items:
        if cancelled.is_set():
            return []
        if time.thread_time() > ends:
            problem = f"it takes more than {MATCH_SECONDS:g} s to match with one page of paths"
            raise InvalidValue("path glob", problem, "begin it with more literal text, or use fewer wildcards")
        if glob.matches(path(item)):
            matching.append(item)
    return matching


def _reference_path(reference: Reference) -> str:
    return reference.signature.path


def _summary_path(summary: FileSummary) -> str:
    return summary.signature.path


def _file(signature: Signature, content: StoredContent | None) -> v2.File:
    if content is None:
        return v2.File(path=signature.path, md5=signature.md5)
    return v2.File(path=signature.path, md5=signature.md5, sha256=content.sha256, size=content.size)


def _reference(reference: Reference, content: StoredContent | None) -> v2.Reference:
    return v2.Reference(
        file=_file(reference.signature, content),
        pod=v2.Pod(namespace=reference.pod.namespace, name=reference.pod.name, uid=reference.pod.uid),
        metadata=dict(reference.metadata),
        observed_at=timestamp(reference.observed_at_ns),
    )


def _summary(summary: FileSummary) -> v2.FileSummary:
    return v2.FileSummary(
        file=_file(summary.signature, summary.content),
        pods=summary.pods,
        first_seen=timestamp(summary.first_seen_ns),
        last_seen=timestamp(summary.last_seen_ns),
    )
