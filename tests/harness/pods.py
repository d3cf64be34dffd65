"""Pods that speak the wire directly: tests of the server do not lean on our client."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import grpc

from kharvest.wire import legacy_pb2 as legacy
from kharvest.wire import v2_pb2 as v2
from kharvest.wire.legacy_pb2_grpc import KharvestStub, KharvestUserAPIStub
from kharvest.wire.v2_pb2_grpc import HarvestStub, QueryStub

CALL_SECONDS = 30.0
BIG = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def announced(path: str, content: bytes) -> v2.File:
    """A file as a v2 client announces it."""
    return v2.File(
        path=path,
        md5=hashlib.md5(content).digest(),
        sha256=hashlib.sha256(content).digest(),
        size=len(content),
    )


def removal(path: str) -> v2.File:
    """The announcement that a file went away."""
    return v2.File(path=path, md5=bytes(16))


def content_of(seed: int, size: int) -> bytes:
    """Bytes that are different for every seed, and the same in every run."""
    block = hashlib.sha256(str(seed).encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def reason_of(error: grpc.RpcError) -> str:
    """The reason that a program is told."""
    return trailing_of(error).get("kharvest-reason", "")


def trailing_of(error: grpc.RpcError) -> dict[str, str]:
    """The trailing metadata of a refusal."""
    call: Any = error
    return dict(call.trailing_metadata())


def details_of(error: grpc.RpcError) -> str:
    """The message that people are told."""
    call: Any = error
    return str(call.details())


class Pod:
    """One pod, on a connection of its own. Calls end after `call_seconds` where they name no other time."""

    def __init__(
        self,
        address: str,
        name: str = "web-1",
        namespace: str = "shop",
        metadata: Mapping[str, str] | None = None,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._call_seconds = call_seconds
        self.pod = v2.Pod(namespace=namespace, name=name)
        self.metadata = dict(metadata or {})
        # A pool of its own: in one process, gRPC would otherwise give all pods one connection.
        self._channel = grpc.insecure_channel(address, options=[*BIG, ("grpc.use_local_subchannel_pool", 1)])
        self.harvest = HarvestStub(self._channel)
        self.query = QueryStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._channel.close()

    def request(self, *files: v2.File) -> v2.AnnounceRequest:
        return v2.AnnounceRequest(pod=self.pod, metadata=self.metadata, files=files)

    def announce(self, *files: v2.File, timeout: float | None = None) -> v2.AnnounceReply:
        return self.harvest.Announce(self.request(*files), timeout=timeout or self._call_seconds)

    def answers(self, *files: v2.File, timeout: float | None = None) -> list[v2.Answer.ValueType]:
        return list(self.announce(*files, timeout=timeout).answers)

    def header(self, file: v2.File) -> v2.UploadRequest:
        return v2.UploadRequest(header=v2.UploadHeader(pod=self.pod, metadata=self.metadata, file=file))

    def upload(
        self, file: v2.File, content: bytes | Iterable[bytes], timeout: float | None = None, chunk_bytes: int = 2**18
    ) -> v2.UploadReply:
        chunks = pieces(content, chunk_bytes) if isinstance(content, bytes) else content

        def requests() -> Iterator[v2.UploadRequest]:
            yield self.header(file)
            for chunk in chunks:
                yield v2.UploadRequest(chunk=chunk)

        return self.harvest.Upload(requests(), timeout=timeout or self._call_seconds)

    def batch(self, *contents: tuple[v2.File, bytes | None]) -> v2.UploadBatchRequest:
        """The request for small contents; None for one that has changed."""
        whole = [v2.WholeContent(file=file, content=content) for file, content in contents]
        return v2.UploadBatchRequest(pod=self.pod, metadata=self.metadata, contents=whole)

    def upload_batch(
        self, *contents: tuple[v2.File, bytes | None], timeout: float | None = None
    ) -> v2.UploadBatchReply:
        return self.harvest.UploadBatch(self.batch(*contents), timeout=timeout or self._call_seconds)

    def harvest_files(self, files: Mapping[str, bytes]) -> int:
        """Announce files until all are acknowledged, uploading what is asked for; how many were uploaded."""
        uploads = 0
        left = [announced(path, content) for path, content in files.items()]
        while left:
            answers = self.answers(*left)
            for file, answer in zip(left, answers, strict=True):
                if answer == v2.UPLOAD:
                    uploads += not self.upload(file, files[file.path]).already_stored
            left = [file for file, answer in zip(left, answers, strict=True) if answer == v2.PENDING]
            assert v2.REFUSED not in answers
        return uploads

    def references(self, **filters: Any) -> list[v2.Reference]:
        found: list[v2.Reference] = []
        request = v2.ReferencesRequest(filter=v2.Filter(**filters), limit=10_000)
        while True:
            reply = self.query.References(request, timeout=self._call_seconds)
            found += reply.references
            if not reply.next_cursor:
                return found
            request.cursor = reply.next_cursor

    def files(self, **filters: Any) -> list[v2.FileSummary]:
        found: list[v2.FileSummary] = []
        request = v2.FilesRequest(filter=v2.Filter(**filters), limit=10_000)
        while True:
            reply = self.query.Files(request, timeout=self._call_seconds)
            found += reply.files
            if not reply.next_cursor:
                return found
            request.cursor = reply.next_cursor

    def content(self, sha256: bytes, offset: int = 0) -> bytes:
        replies = self.query.Content(v2.ContentRequest(sha256=sha256, offset=offset), timeout=self._call_seconds)
        return b"".join(reply.chunk for reply in replies)


class LegacyPod:
    """One pod with a client of the original protocol."""

    def __init__(self, address: str, name: str = "old-1", namespace: str = "shop") -> None:
        self.name = name
        self.namespace = namespace
        self._channel = grpc.insecure_channel(address, options=[*BIG, ("grpc.use_local_subchannel_pool", 1)])
        self.harvest = KharvestStub(self._channel)
        self.user = KharvestUserAPIStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._channel.close()

    def signature(self, path: str, content: bytes | None) -> legacy.DataSignature:
        md5 = bytes(16) if content is None else hashlib.md5(content).digest()
        return legacy.DataSignature(filename=path, md5=md5, namespace=self.namespace, podName=self.name)

    def notify(self, path: str, content: bytes | None, timeout: float = CALL_SECONDS) -> int:
        return self.harvest.Notify(self.signature(path, content), timeout=timeout).action

    def store(self, path: str, content: bytes | None, timeout: float = CALL_SECONDS) -> legacy.StoreReply:
        data = legacy.Data(signature=self.signature(path, content), data=content or b"")
        return self.harvest.Store(data, timeout=timeout)


def pieces(content: bytes, chunk_bytes: int) -> Iterator[bytes]:
    return (content[start : start + chunk_bytes] for start in range(0, len(content), chunk_bytes))
