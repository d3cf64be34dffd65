"""The v2 service that clients beside applications talk to: translates between the wire and the server's values."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from functools import partial

from kharvest.server import _requests as requests
from kharvest.server._admission import undelivered
from kharvest.server._announcement import FileAnswer, FileStatus
from kharvest.server._announcing import AnnounceHandler
from kharvest.server._clock import Clock
from kharvest.server._config import CLIENT_UPLOADS, MAX_UPLOAD_BATCH_BYTES, ServerConfig
from kharvest.server._identities import Identities
from kharvest.server._metrics import Metrics
from kharvest.server._refusing import Context, message, retry_seconds, told
from kharvest.server._uploads import Arrival, Uploads
from kharvest.spi import MAX_CHUNK_BYTES, KharvestError
from kharvest.wire import v2_pb2 as v2
from kharvest.wire.v2_pb2_grpc import HarvestServicer

logger = logging.getLogger(__name__)

HELD_RETRY_SECONDS = 1.0
"""When to announce again what is pending, after a call was not held or held in vain."""
MOST_SESSION = 64
"""Characters of a session's name that are looked at."""
REPLY_SECONDS = 1.0
"""What is left of a call's deadline, at least, when it is held no longer."""

_ANSWERS = {
    FileStatus.ACKNOWLEDGED: v2.ACKNOWLEDGED,
    FileStatus.UPLOAD: v2.UPLOAD,
    FileStatus.PENDING: v2.PENDING,
}
_ARRIVALS = {Arrival.STORED: v2.STORED, Arrival.ALREADY_STORED: v2.ALREADY_STORED}


class HarvestService(HarvestServicer):
    """`kharvest.v2.Harvest`."""

    def __init__(
        self,
        announcing: AnnounceHandler,
        uploads: Uploads,
        clock: Clock,
        identities: Identities,
        metrics: Metrics,
        config: ServerConfig,
    ) -> None:
        self._identities = identities
        self._announcing = announcing
        self._uploads = uploads
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
            max_batch_bytes=MAX_UPLOAD_BATCH_BYTES,
        )

    async def Announce(self, request: v2.AnnounceRequest, context: Context) -> v2.AnnounceReply:
        """The answer to each file; one that is refused does not touch the others."""
        sent = requests.announced(request, self._config)
        self._identities.heard(sent.pod, request.session[:MOST_SESSION], context.peer())
        del request  # the call may be held for long
        announcement = sent.announcement(self._clock.now_ns(), context.peer())
        answers = await self._announcing.announce(
            announcement, self._hold_seconds(context), self._config.ask_seconds, partial(undelivered, context)
        )
        return self._reply(sent.together(answers))

    async def Upload(
        self,
        request_iterator: AsyncIterator[v2.UploadRequest],
        context: Context,
    ) -> v2.UploadReply:
        """Stores one content and records the pod's reference to it."""
        sent = requests.uploaded(await anext(request_iterator, None), self._config)
        announcement = sent.announcement(self._clock.now_ns(), context.peer())
        (answer,) = await self._uploads.receive(announcement, [requests.chunks(request_iterator)])
        if isinstance(answer, KharvestError):
            raise answer
        return v2.UploadReply(already_stored=answer is Arrival.ALREADY_STORED)

    async def UploadBatch(self, request: v2.UploadBatchRequest, context: Context) -> v2.UploadBatchReply:
        """Stores small contents and records the pod's references; one that is refused does not touch the others."""
        sent = requests.uploaded_batch(request, self._config)
        announcement = sent.announcement(self._clock.now_ns(), context.peer())
        return self._batch_reply(sent.together(await self._uploads.receive(announcement, sent.bodies)))

    def _hold_seconds(self, context: Context) -> float:
        remaining: float | None = context.time_remaining()  # None without a deadline
        if remaining is None:
            return self._config.hold_seconds
        return min(self._config.hold_seconds, remaining - REPLY_SECONDS)

    def _reply(self, answers: list[FileAnswer]) -> v2.AnnounceReply:
        reply = v2.AnnounceReply(
            answers=[v2.REFUSED if isinstance(answer, KharvestError) else _ANSWERS[answer] for answer in answers]
        )
        for index, answer in enumerate(answers):
            if isinstance(answer, KharvestError):
                reply.refusals.append(self._refusal(index, answer))
        if v2.PENDING in reply.answers and v2.UPLOAD not in reply.answers:
            reply.retry_after_ms = int(HELD_RETRY_SECONDS * 1000)
        return reply

    def _batch_reply(self, answers: list[Arrival | KharvestError]) -> v2.UploadBatchReply:
        reply = v2.UploadBatchReply()
        waits = [0.0]
        for index, answer in enumerate(answers):
            if isinstance(answer, KharvestError):
                reply.arrivals.append(v2.NOT_STORED)
                reply.refusals.append(self._refusal(index, answer))
                waits.append(retry_seconds(answer) or 0.0)
            else:
                reply.arrivals.append(_ARRIVALS[answer])
        reply.retry_after_ms = int(max(waits) * 1000)
        return reply

    def _refusal(self, index: int, error: KharvestError) -> v2.Refusal:
        _status, reason = told(error)
        self._metrics.refused(v2.Reason.Name(reason))
        if reason == v2.STORE_FAILED:
            logger.error("the store failed", exc_info=error)
        return v2.Refusal(index=index, reason=reason, message=message(error))
