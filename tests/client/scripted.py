"""A real gRPC server whose behaviour a test writes down: for what a good server does not do on request."""

# The names and arguments of a servicer are the protocol's.
# ruff: noqa: ARG001, ARG002, N802
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc

from kharvest.wire import v2_pb2 as v2
from kharvest.wire.v2_pb2_grpc import HarvestServicer, add_HarvestServicer_to_server

Context = Any
LIMITS = v2.Limits(max_files=100, max_content_bytes=1 << 40, max_chunk_bytes=1 << 16, max_uploads=2)
"""Without batches: every upload is a stream."""
BATCHES = v2.Limits(
    max_files=100, max_content_bytes=1 << 40, max_chunk_bytes=1 << 16, max_uploads=2, max_batch_bytes=1 << 20
)


def acknowledge(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
    """Acknowledge everything."""
    return v2.AnnounceReply(answers=[v2.ACKNOWLEDGED] * len(request.files))


def ask_for_all(request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
    """Ask for the upload of everything."""
    return v2.AnnounceReply(answers=[v2.UPLOAD] * len(request.files))


def receive(requests: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
    """Take in the upload."""
    for _ in requests:
        pass
    return v2.UploadReply()


def receive_batch(request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
    """Take in the batch."""
    return v2.UploadBatchReply(arrivals=[v2.STORED] * len(request.contents))


def refuse(
    context: Context, code: grpc.StatusCode, reason: str = "", pushback_ms: int | None = None, message: str = "no"
) -> NoReturn:
    """End the call as a server does that refuses it."""
    trailing = [("kharvest-reason", reason)] if reason else []
    if pushback_ms is not None:
        trailing.append(("grpc-retry-pushback-ms", str(pushback_ms)))
    context.set_trailing_metadata(tuple(trailing))
    context.abort(code, message)
    raise AssertionError("abort raises")


class ScriptedServer(HarvestServicer):
    """Answers every call with a function that may be replaced at any time, and keeps what was asked."""

    def __init__(
        self,
        announce: Callable[[v2.AnnounceRequest, Context], v2.AnnounceReply] = acknowledge,
        upload: Callable[[Iterator[v2.UploadRequest], Context], v2.UploadReply] = receive,
        limits: v2.Limits = LIMITS,
        upload_batch: Callable[[v2.UploadBatchRequest, Context], v2.UploadBatchReply] = receive_batch,
    ) -> None:
        self.announce = announce
        self.upload = upload
        self.upload_batch = upload_batch
        self.limits = limits
        self.asked_limits = 0
        self.requests: list[v2.AnnounceRequest] = []
        self._changed = threading.Condition()
        self._threads = ThreadPoolExecutor(32)
        self._server = grpc.server(self._threads, options=[("grpc.so_reuseport", 0)])
        add_HarvestServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def GetLimits(self, request: v2.GetLimitsRequest, context: Context) -> v2.Limits:
        self.asked_limits += 1
        return self.limits

    def Announce(self, request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        return self.announce(request, context)

    def Upload(self, request_iterator: Iterator[v2.UploadRequest], context: Context) -> v2.UploadReply:
        return self.upload(request_iterator, context)

    def UploadBatch(self, request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        return self.upload_batch(request, context)

    def announced(self, path: str) -> list[v2.File]:
        """What was announced of a path so far."""
        with self._changed:
            return [file for request in self.requests for file in request.files if file.path == path]

    def wait_for(self, condition: Callable[[], bool], what: str, timeout: float = 15.0) -> None:
        """Until the condition holds; it is tried after every Announce that arrives."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout), f"waited in vain for {what}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop(None).wait()
        self._threads.shutdown()
