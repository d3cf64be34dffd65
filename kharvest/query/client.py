"""Asks a server, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Self, TypedDict, Unpack

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from kharvest.query.errors import answers
from kharvest.query.values import FoundFile, FoundReference
from kharvest.wire import v2_pb2 as v2
from kharvest.wire.v2_pb2_grpc import QueryStub

Time = datetime | int
"""A time: aware, or nanoseconds since the epoch, UTC."""

_MAX_MESSAGE_BYTES = 128 * 1024 * 1024
_PAGE = 1000


class Filter(TypedDict, total=False):
    """What restricts an answer; what is left out does not.

    Attributes:
        path: the exact path.
        path_glob: a pattern: `?`, `*` and `[...]` stay within a segment, `**` crosses them. Not together with `path`.
        md5: 16 raw bytes; all zero for removals.
        namespace: the pod's namespace.
        pod: the pod's name.
        metadata: pairs that must all be there.
        since: earliest time, inclusive.
        until: latest time, exclusive.
        latest: only the newest reference, before `until`, of each namespace, pod and path.
    """

    path: str
    path_glob: str
    md5: bytes
    namespace: str
    pod: str
    metadata: Mapping[str, str]
    since: Time
    until: Time
    latest: bool


class QueryClient:
    """A connection to a server's user API. A context manager; may be used by several threads.

    Every method raises `QueryFailed` when the server refuses, and `ServerUnavailable` when there is no answer within
    `timeout_seconds` (for `content`: when the connection is lost).
    """

    def __init__(self, server: str, timeout_seconds: float = 30.0) -> None:
        self._server = server
        self._timeout_seconds = timeout_seconds
        self._channel = grpc.insecure_channel(server, options=[("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)])
        self._stub = QueryStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def references(
        self, *, newest_first: bool = False, limit: int | None = None, **filters: Unpack[Filter]
    ) -> Iterator[FoundReference]:
        """The references that match, in the order of their times, at most `limit`; pages are asked for as needed."""
        order = v2.NEWEST_FIRST if newest_first else v2.OLDEST_FIRST
        wanted = _filter(filters)
        cursor = ""
        while True:
            page = _PAGE if limit is None else min(_PAGE, limit)
            request = v2.ReferencesRequest(filter=wanted, order=order, limit=page, cursor=cursor)
            with answers(self._server):
                reply = self._stub.References(request, timeout=self._timeout_seconds)
            yield from map(_reference, reply.references)
            cursor = reply.next_cursor
            if limit is not None:
                limit -= len(reply.references)
            if not cursor or limit == 0:
                return

    def files(self, *, limit: int | None = None, **filters: Unpack[Filter]) -> Iterator[FoundFile]:
        """The file versions that matching references name, by path and MD5, at most `limit`."""
        wanted = _filter(filters)
        cursor = ""
        while True:
            page = _PAGE if limit is None else min(_PAGE, limit)
            with answers(self._server):
                reply = self._stub.Files(
                    v2.FilesRequest(filter=wanted, limit=page, cursor=cursor), timeout=self._timeout_seconds
                )
            yield from map(_found_file, reply.files)
            cursor = reply.next_cursor
            if limit is not None:
                limit -= len(reply.files)
            if not cursor or limit == 0:
                return

    def content(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a content from `offset` on, in chunks."""
        with answers(self._server):
            for reply in self._stub.Content(v2.ContentRequest(sha256=sha256, offset=offset)):
                if reply.WhichOneof("part") == "chunk":
                    yield reply.chunk


def _filter(filters: Filter) -> v2.Filter:
    wanted = v2.Filter(
        path=filters.get("path"),
        path_glob=filters.get("path_glob"),
        md5=filters.get("md5"),
        namespace=filters.get("namespace"),
        pod=filters.get("pod"),
        metadata=filters.get("metadata"),
        latest=filters.get("latest", False),
    )
    if "since" in filters:
        wanted.since.CopyFrom(_timestamp(filters["since"]))
    if "until" in filters:
        wanted.until.CopyFrom(_timestamp(filters["until"]))
    return wanted


def _timestamp(time: Time) -> Timestamp:
    if isinstance(time, int):
        return Timestamp(seconds=time // 10**9, nanos=time % 10**9)
    if time.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone: give an aware datetime")
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def _reference(reference: v2.Reference) -> FoundReference:
    removal = not reference.file.sha256
    return FoundReference(
        path=reference.file.path,
        md5=reference.file.md5,
        sha256=None if removal else reference.file.sha256,
        size=None if removal else reference.file.size,
        namespace=reference.pod.namespace,
        pod=reference.pod.name,
        observed_at_ns=reference.observed_at.ToNanoseconds(),
        metadata=dict(reference.metadata),
    )


def _found_file(summary: v2.FileSummary) -> FoundFile:
    return FoundFile(
        path=summary.file.path,
        md5=summary.file.md5,
        sha256=summary.file.sha256,
        size=summary.file.size,
        pods=summary.pods,
        first_seen_ns=summary.first_seen.ToNanoseconds(),
        last_seen_ns=summary.last_seen.ToNanoseconds(),
    )
