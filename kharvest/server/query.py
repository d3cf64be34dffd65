"""The v2 service that people and their tools ask. Reads only; each call is a page or a stream, so memory is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import replace
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from kharvest.server.config import MAX_CHUNK_BYTES, PAGE
from kharvest.server.globs import Glob
from kharvest.server.metrics import Metrics
from kharvest.server.refusing import Context, refusing
from kharvest.spi import Content as StoredContent
from kharvest.spi import (
    FileSummary,
    InvalidValue,
    Metadata,
    Order,
    Page,
    Query,
    Reference,
    Signature,
    Store,
    UnknownContent,
)
from kharvest.wire import v2_pb2 as v2
from kharvest.wire.v2_pb2_grpc import QueryServicer

Item = TypeVar("Item")
SCANNED_PAGES = 10
"""Pages of the store that one call looks through for a glob before it answers with what it has, and a cursor."""


class QueryService(QueryServicer):
    """`kharvest.v2.Query`."""

    def __init__(self, store: Store, executor: Executor, metrics: Metrics) -> None:
        self._store = store
        self._executor = executor
        self._metrics = metrics

    async def References(
        self,
        request: v2.ReferencesRequest,
        context: Context,
    ) -> v2.ReferencesReply:
        """One page of references."""
        async with refusing(context, self._metrics):
            query, glob = _query(request.filter, request.limit, request.cursor)
            order = Order.NEWEST_FIRST if request.order == v2.NEWEST_FIRST else Order.OLDEST_FIRST
            page, known = await self._run(self._references, replace(query, order=order), glob)
            return v2.ReferencesReply(
                references=[_reference(reference, known.get(reference.signature)) for reference in page.items],
                next_cursor=page.next_cursor or "",
            )

    async def Files(self, request: v2.FilesRequest, context: Context) -> v2.FilesReply:
        """One page of file versions."""
        async with refusing(context, self._metrics):
            query, glob = _query(request.filter, request.limit, request.cursor)
            page = await self._run(_scan, self._store.files, query, glob, _summary_path)
            return v2.FilesReply(files=[_summary(item) for item in page.items], next_cursor=page.next_cursor or "")

    async def Content(self, request: v2.ContentRequest, context: Context) -> AsyncIterator[v2.ContentReply]:
        """The bytes of a content."""
        async with refusing(context, self._metrics):
            content = await self._run(self._content, request.sha256)
            if request.offset > content.size:
                problem = f"{request.offset} is past the end of {content.size} bytes"
                raise InvalidValue("offset", problem, "ask for less")
            header = v2.ContentHeader(sha256=content.sha256, md5=content.md5, size=content.size)
            yield v2.ContentReply(header=header)
            chunks = await self._run(self._store.read, content.sha256, request.offset)
            while (chunk := await self._run(next, chunks, None)) is not None:
                for start in range(0, len(chunk), MAX_CHUNK_BYTES):
                    yield v2.ContentReply(chunk=chunk[start : start + MAX_CHUNK_BYTES])

    async def _run(self, function: Callable[..., Item], *arguments: object) -> Item:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    def _references(self, query: Query, glob: Glob | None) -> tuple[Page[Reference], dict[Signature, StoredContent]]:
        page = _scan(self._store.references, query, glob, _reference_path)
        signatures = {item.signature for item in page.items if not item.signature.is_removal}
        return page, self._store.known(signatures) if signatures else {}

    def _content(self, sha256: bytes) -> StoredContent:
        if len(sha256) != 32:  # noqa: PLR2004
            raise InvalidValue("sha256", f"{len(sha256)} bytes", "send the 32 raw bytes of the digest")
        content = self._store.present([sha256]).get(sha256)
        if content is None:
            raise UnknownContent(sha256s=frozenset([sha256]))
        return content


def _scan(
    ask: Callable[[Query], Page[Item]], query: Query, glob: Glob | None, path: Callable[[Item], str]
) -> Page[Item]:
    """A page of what the store gives; with a glob, of what matches it. Then the page may be short, even empty."""
    page = ask(query)
    if glob is None:
        return page
    matching = [item for item in page.items if glob.matches(path(item))]
    for _ in range(SCANNED_PAGES):
        if page.next_cursor is None or len(matching) >= query.limit:
            break
        # Never more than what is wanted still, so that the cursor stands right behind the last item.
        page = ask(replace(query, cursor=page.next_cursor, limit=query.limit - len(matching)))
        matching += [item for item in page.items if glob.matches(path(item))]
    return Page(tuple(matching), page.next_cursor)


def _reference_path(reference: Reference) -> str:
    return reference.signature.path


def _summary_path(summary: FileSummary) -> str:
    return summary.signature.path


def _query(wanted: v2.Filter, limit: int, cursor: str) -> tuple[Query, Glob | None]:
    glob = Glob(wanted.path_glob) if wanted.HasField("path_glob") else None
    if glob is not None and wanted.HasField("path"):
        raise InvalidValue("path glob", "a path is given too", "give one of them")
    query = Query(
        path=wanted.path if wanted.HasField("path") else None,
        path_prefix=glob.literal_prefix if glob is not None else None,
        md5=wanted.md5 if wanted.HasField("md5") else None,
        namespace=wanted.namespace if wanted.HasField("namespace") else None,
        pod=wanted.pod if wanted.HasField("pod") else None,
        metadata=Metadata(wanted.metadata),
        since_ns=_nanoseconds("since", wanted.since) if wanted.HasField("since") else None,
        until_ns=_nanoseconds("until", wanted.until) if wanted.HasField("until") else None,
        latest=wanted.latest,
        limit=limit or PAGE,
        cursor=cursor or None,
    )
    return query, glob


def _nanoseconds(field: str, timestamp: Timestamp) -> int:
    if not 0 <= timestamp.nanos < 10**9:
        raise InvalidValue(field, f"{timestamp.nanos} nanoseconds is out of range", "send 0 to 999999999")
    return timestamp.seconds * 10**9 + timestamp.nanos


def _timestamp(time_ns: int) -> Timestamp:
    return Timestamp(seconds=time_ns // 10**9, nanos=time_ns % 10**9)


def _file(signature: Signature, content: StoredContent | None) -> v2.File:
    if content is None:
        return v2.File(path=signature.path, md5=signature.md5)
    return v2.File(path=signature.path, md5=signature.md5, sha256=content.sha256, size=content.size)


def _reference(reference: Reference, content: StoredContent | None) -> v2.Reference:
    return v2.Reference(
        file=_file(reference.signature, content),
        pod=v2.Pod(namespace=reference.pod.namespace, name=reference.pod.name),
        metadata=dict(reference.metadata),
        observed_at=_timestamp(reference.observed_at_ns),
    )


def _summary(summary: FileSummary) -> v2.FileSummary:
    return v2.FileSummary(
        file=_file(summary.signature, summary.content),
        pods=summary.pods,
        first_seen=_timestamp(summary.first_seen_ns),
        last_seen=_timestamp(summary.last_seen_ns),
    )
