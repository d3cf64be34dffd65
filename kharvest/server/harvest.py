"""The v2 service that clients beside applications talk to: translates between the wire and the server's values."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from kharvest.server.announcement import Announced, Announcement, Fate, Outcome
from kharvest.server.announcing import Announcer
from kharvest.server.batches import Arrival, BatchReceiver
from kharvest.server.clock import Clock
from kharvest.server.config import CLIENT_UPLOADS, MAX_BATCH_BYTES, MAX_CHUNK_BYTES, ServerConfig
from kharvest.server.errors import ContentTooLarge, TooManyFiles
from kharvest.server.metrics import Metrics
from kharvest.server.receiving import Receiver
from kharvest.server.refusing import Context, refusing, retry_seconds, told
from kharvest.spi import Content, InvalidValue, KharvestError, Metadata, Pod, Signature
from kharvest.wire import v2_pb2 as v2
from kharvest.wire.v2_pb2_grpc import HarvestServicer

logger = logging.getLogger(__name__)

HELD_RETRY_SECONDS = 1.0
"""When to announce again what is pending, after a call was not held or held in vain."""
REPLY_SECONDS = 1.0
"""What is left of a call's deadline, at least, when it is held no longer."""

_ANSWERS = {
    Fate.ACKNOWLEDGED: v2.ACKNOWLEDGED,
    Fate.UPLOAD: v2.UPLOAD,
    Fate.PENDING: v2.PENDING,
}
_ARRIVALS = {Arrival.STORED: v2.STORED, Arrival.ALREADY_STORED: v2.ALREADY_STORED}


class HarvestService(HarvestServicer):
    """`kharvest.v2.Harvest`."""

    def __init__(
        self,
        announcer: Announcer,
        receiver: Receiver,
        batches: BatchReceiver,
        clock: Clock,
        metrics: Metrics,
        config: ServerConfig,
    ) -> None:
        self._announcer = announcer
        self._receiver = receiver
        self._batches = batches
        self._clock = clock
        self._metrics = metrics
        self._config = config

    async def GetLimits(self, request: v2.GetLimitsRequest, context: Context) -> v2.Limits:
        """What this server accepts."""
        return v2.Limits(
            max_files=self._config.max_files,
            max_content_bytes=self._config.max_content_bytes,
            max_chunk_bytes=MAX_CHUNK_BYTES,
            max_uploads=CLIENT_UPLOADS,
            max_batch_bytes=MAX_BATCH_BYTES,
        )

    async def Announce(self, request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        """Tells what becomes of each file; one that is refused does not touch the others."""
        async with refusing(context, self._metrics):
            self._check_number(len(request.files))
            pod, metadata = _speaker(request.pod, request.metadata)
            files = [self._judge(file) for file in request.files]
            _refuse_repeated_paths(files)
            good = tuple(file for file in files if isinstance(file, Announced))
            announcement = Announcement(pod, metadata, good, self._clock.now_ns())
            outcomes = iter(
                await self._announcer.announce(announcement, self._hold_seconds(context), self._config.ask_seconds)
            )
            return self._reply([next(outcomes) if isinstance(file, Announced) else file for file in files])

    async def Upload(
        self,
        request_iterator: AsyncIterator[v2.UploadRequest],
        context: Context,
    ) -> v2.UploadReply:
        """Stores one content and records the pod's reference to it."""
        async with refusing(context, self._metrics):
            first = await anext(request_iterator, None)
            if first is None or first.WhichOneof("part") != "header":
                raise InvalidValue("upload", "it does not begin with a header", "send the header first")
            pod, metadata = _speaker(first.header.pod, first.header.metadata)
            file = _announced(first.header.file)
            _require_content(file)
            announcement = Announcement(pod, metadata, (file,), self._clock.now_ns())
            already_stored = await self._receiver.receive(announcement, _chunks(request_iterator))
            return v2.UploadReply(already_stored=already_stored)

    async def UploadBatch(self, request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        """Stores small contents and records the pod's references; one that is refused does not touch the others."""
        async with refusing(context, self._metrics):
            self._check_number(len(request.contents))
            size = sum(len(one.content) for one in request.contents)
            if size > MAX_BATCH_BYTES:
                problem = f"{size} bytes in one call, at most {MAX_BATCH_BYTES} are allowed"
                raise InvalidValue("contents", problem, "split the batch, or use Upload (see GetLimits)")
            pod, metadata = _speaker(request.pod, request.metadata)
            files = [self._judge(one.file, with_content=True) for one in request.contents]
            _refuse_repeated_paths(files)
            good = tuple(file for file in files if isinstance(file, Announced))
            bodies = [
                one.content if one.HasField("content") else None
                for one, file in zip(request.contents, files, strict=True)
                if isinstance(file, Announced)
            ]
            announcement = Announcement(pod, metadata, good, self._clock.now_ns())
            arrivals = iter(await self._batches.receive(announcement, bodies))
            return self._batch_reply([next(arrivals) if isinstance(file, Announced) else file for file in files])

    def _check_number(self, files: int) -> None:
        if files > self._config.max_files:
            raise TooManyFiles(files, self._config.max_files)

    def _judge(self, file: v2.File, *, with_content: bool = False) -> Announced | KharvestError:
        try:
            announced = _announced(file)
            if with_content:
                _require_content(announced)
        except InvalidValue as error:
            return error
        if file.size > self._config.max_content_bytes:
            return ContentTooLarge(file.path, file.size, self._config.max_content_bytes)
        return announced

    def _hold_seconds(self, context: Context) -> float:
        remaining: float | None = context.time_remaining()  # None without a deadline
        if remaining is None:
            return self._config.hold_seconds
        return min(self._config.hold_seconds, remaining - REPLY_SECONDS)

    def _reply(self, outcomes: list[Outcome]) -> v2.AnnounceReply:
        reply = v2.AnnounceReply(
            answers=[v2.REFUSED if isinstance(outcome, KharvestError) else _ANSWERS[outcome] for outcome in outcomes]
        )
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, KharvestError):
                reply.refusals.append(self._refusal(index, outcome))
        if v2.PENDING in reply.answers and v2.UPLOAD not in reply.answers:
            reply.retry_after_ms = int(HELD_RETRY_SECONDS * 1000)
        return reply

    def _batch_reply(self, outcomes: list[Arrival | KharvestError]) -> v2.UploadBatchReply:
        reply = v2.UploadBatchReply()
        waits = [0.0]
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, KharvestError):
                reply.arrivals.append(v2.NOT_STORED)
                reply.refusals.append(self._refusal(index, outcome))
                waits.append(retry_seconds(outcome) or 0.0)
            else:
                reply.arrivals.append(_ARRIVALS[outcome])
        reply.retry_after_ms = int(max(waits) * 1000)
        return reply

    def _refusal(self, index: int, error: KharvestError) -> v2.Refusal:
        _status, reason = told(error)
        self._metrics.refused(v2.Reason.Name(reason))
        if reason == v2.STORE_FAILED:
            logger.error("the store failed", exc_info=error)
        return v2.Refusal(index=index, reason=reason, message=str(error))


def _speaker(pod: v2.Pod, metadata: object) -> tuple[Pod, Metadata]:
    if not pod.name:
        raise InvalidValue("pod", "its name is empty", "send the pod's name and namespace")
    if not pod.namespace:
        raise InvalidValue("namespace", "it is empty", "send the pod's name and namespace")
    return Pod(pod.namespace, pod.name), Metadata(metadata)  # type: ignore[arg-type]  # protobuf's map is a mapping


def _announced(file: v2.File) -> Announced:
    signature = Signature(file.path, file.md5)
    if signature.is_removal:
        if file.sha256 or file.size:
            problem = "16 zero bytes stand for a removal, and there is a SHA-256 or a size"
            raise InvalidValue("md5", problem, "leave both out, or send the MD5 of the content")
        return Announced(signature, None)
    return Announced(signature, Content(file.sha256, file.md5, file.size))


def _require_content(file: Announced) -> None:
    if file.content is None:
        raise InvalidValue("md5", "a removal has no content", "announce it; there is nothing to upload")


def _refuse_repeated_paths(files: list[Announced | KharvestError]) -> None:
    """A pod has one version of a path at a time, so a second one in the same call says nothing."""
    seen = set()
    for index, file in enumerate(files):
        if isinstance(file, Announced):
            path = file.signature.path
            if path in seen:
                files[index] = InvalidValue("path", f"{path!r} is twice in this call", "send each path once")
            seen.add(path)


async def _chunks(requests: AsyncIterator[v2.UploadRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise InvalidValue("upload", "something else than a chunk follows the header", "send chunks only")
        yield _chunk(request.chunk)


def _chunk(chunk: bytes) -> bytes:
    if len(chunk) > MAX_CHUNK_BYTES:
        problem = f"{len(chunk)} bytes, at most {MAX_CHUNK_BYTES} are allowed"
        raise InvalidValue("chunk", problem, "send smaller chunks (see GetLimits)")
    return chunk
