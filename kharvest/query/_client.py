"""Asks a server, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self, TypeVar, Unpack

from kharvest.query._errors import QueryFailed, answers
from kharvest.query._filters import Filter, check_filters, check_limit, check_type
from kharvest.query._values import FoundFile, FoundReference
from kharvest.spi import MAX_SIZE, InvalidValue, Page, follow
from kharvest.wire import v2_pb2 as v2
from kharvest.wire.address import InvalidAddress, target
from kharvest.wire.channel import open_channel
from kharvest.wire.v2_pb2_grpc import QueryStub

Item = TypeVar("Item")
_OPTIONS = (
    ("grpc.max_receive_message_length", 128 * 1024 * 1024),
    # A connection that swallows everything is noticed within 20 s, even where an answer comes. Our server allows this.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.ping_timeout_ms", 20_000),  # of pings that measure the link; gRPC sends no other meanwhile
)
_PAGE = 1000


class QueryClient:
    """A connection to a server's user API. A context manager; may be used by several threads.

    A wrong argument raises when the method is called, before the server is asked: `TypeError` where it is unknown or
    of the wrong type, else `InvalidValue`, a `ValueError`. What a method returns raises while it is drawn from:
    `QueryFailed` when the server refuses, and `ServerUnavailable` when there is no answer within `timeout_seconds`
    (for `content`: when the connection is lost).

    Args:
        server: `HOST:PORT`, or `HOST` for port 50051.
        timeout_seconds: how long an answer may take.
        proxy: the HTTP proxy through which the server is reached, `http://HOST:PORT`; None to connect to it directly.
    """

    def __init__(self, server: str, timeout_seconds: float = 30.0, *, proxy: str | None = None) -> None:
        check_type("server", server, str)
        if isinstance(timeout_seconds, bool) or not isinstance(timeout_seconds, (int, float)):
            kind = type(timeout_seconds).__name__
            raise TypeError(f"timeout_seconds: {timeout_seconds!r} is of type {kind}; give seconds")
        if not timeout_seconds > 0:
            raise InvalidValue("timeout_seconds", f"{timeout_seconds} is out of range", "give more than 0")
        self._server = server
        self._timeout_seconds = timeout_seconds
        try:
            self._channel = open_channel(target(server), proxy=proxy, options=_OPTIONS)
        except InvalidAddress as error:
            raise InvalidValue("server", f"{error.address!r} {error.problem}", error.remedy) from None
        except ValueError as error:
            raise InvalidValue("proxy", str(error), "give http://HOST:PORT") from None
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
        check_type("newest_first", newest_first, bool)
        check_limit(limit)
        return self._references(check_filters(filters), v2.NEWEST_FIRST if newest_first else v2.OLDEST_FIRST, limit)

    def files(self, *, limit: int | None = None, **filters: Unpack[Filter]) -> Iterator[FoundFile]:
        """The file versions that matching references name, by path and MD5, at most `limit`."""
        check_limit(limit)
        return self._files(check_filters(filters), limit)

    def content(self, sha256: bytes, offset: int = 0) -> Iterator[bytes]:
        """The bytes of a content from `offset` on, in chunks."""
        check_type("sha256", sha256, bytes)
        if len(sha256) != 32:  # noqa: PLR2004
            raise InvalidValue("sha256", f"{len(sha256)} bytes", "give the 32 raw bytes of the digest")
        check_type("offset", offset, int)
        if not 0 <= offset <= MAX_SIZE:
            raise InvalidValue("offset", f"{offset} is out of range", "give a number of bytes, 0 to 2^63-1")
        return self._content(sha256, offset)

    def _references(self, wanted: v2.Filter, order: v2.Order.ValueType, limit: int | None) -> Iterator[FoundReference]:
        def page(cursor: str | None, most: int) -> Page[v2.Reference]:
            request = v2.ReferencesRequest(filter=wanted, order=order, limit=most, cursor=cursor or "")
            with answers(self._server):
                reply = self._stub.References(request, timeout=self._timeout_seconds)
            return Page(tuple(reply.references), reply.next_cursor or None)

        return map(_reference, _items(page, limit))

    def _files(self, wanted: v2.Filter, limit: int | None) -> Iterator[FoundFile]:
        def page(cursor: str | None, most: int) -> Page[v2.FileSummary]:
            request = v2.FilesRequest(filter=wanted, limit=most, cursor=cursor or "")
            with answers(self._server):
                reply = self._stub.Files(request, timeout=self._timeout_seconds)
            return Page(tuple(reply.files), reply.next_cursor or None)

        return map(_found_file, _items(page, limit))

    def _content(self, sha256: bytes, offset: int) -> Iterator[bytes]:
        try:
            with answers(self._server):
                for reply in self._stub.Content(v2.ContentRequest(sha256=sha256, offset=offset)):
                    if reply.WhichOneof("part") == "chunk":
                        yield reply.chunk
        except QueryFailed as error:
            if error.reason != v2.Reason.Name(v2.UNKNOWN_CONTENT):
                raise
            details = (
                f"sha256: there is no content {sha256.hex()}; ask `files` or `references` for those that are there"
            )
            raise QueryFailed(self._server, error.status, error.reason, details) from error


def _items(page: Callable[[str | None, int], Page[Item]], limit: int | None) -> Iterator[Item]:
    """The items of all pages, at most `limit`."""
    left = limit

    def wanted() -> int:
        return _PAGE if left is None else min(_PAGE, left)

    for one in follow(page, wanted):
        yield from one.items
        if left is not None:
            left -= len(one.items)


def _reference(reference: v2.Reference) -> FoundReference:
    removal = not reference.file.sha256
    return FoundReference(
        path=reference.file.path,
        md5=reference.file.md5,
        sha256=None if removal else reference.file.sha256,
        size=None if removal else reference.file.size,
        namespace=reference.pod.namespace,
        pod=reference.pod.name,
        uid=reference.pod.uid,
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
