"""The uploads under way, and those that wait for one of them to end."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field

from kharvest.client._errors import Changed
from kharvest.client._events import EventQueue
from kharvest.client._send.announced_path import AnnouncedPath, PodIdentity
from kharvest.client._send.connection import Call, CallEnded, Connection, Failure, SendEvent, Trouble, name_of, refused
from kharvest.client._send.content_stream import ContentStream
from kharvest.client._send.server_state import ServerState
from kharvest.client._threads import Workers
from kharvest.client._watch.content import Version, read_whole
from kharvest.wire import v2_pb2

logger = logging.getLogger(__name__)

MAX_FILES = 250
"""In one call."""
MAX_BATCHES = 2
"""Under way at once: one is sent while the server stores the other. Each is held in memory."""
_FIRST_BATCH_BYTES = 256 * 1024
_LEAST_BATCH_BYTES = 16 * 1024
_MOST_BATCH_BYTES = 1024 * 1024
_SLOW_SECONDS = 2.0
"""A batch that takes longer is followed by smaller ones: what the server asks for has to be there within seconds."""
_FAST_SECONDS = 0.5
_BATCH_SECONDS = 120.0
"""How long a batch may take, which is a megabyte at most; then a server that forgets it is given up."""
_FULL_SECONDS = 30.0
"""How long a store that had no room for a content is not sent one of the same size, or a larger one."""
_ENOUGH_SMALL = 2 * MAX_FILES
_ENOUGH_LARGE = 64
"""With more than these waiting, the server need not ask for still more."""


@dataclass(slots=True, eq=False)
class Upload:
    """One content that the server has asked for.

    Attributes:
        announced: what it was announced with.
        version: the content.
        epoch: of the metadata that it is uploaded with.
        outcome: how it ended: the reply, the failure, or why the file could not be sent: it has changed.
        sent_bytes: what was sent of the content.
        has_grown: whether the file has become longer meanwhile.
    """

    announced: AnnouncedPath
    version: Version
    epoch: int = 0
    outcome: v2_pb2.UploadReply | Failure | Changed | None = None
    sent_bytes: int = 0
    has_grown: bool = False
    stream: ContentStream | None = None
    call: Call | None = None

    def header(self, identity: PodIdentity) -> v2_pb2.File:
        """The file, uploaded with the metadata as they are now."""
        self.epoch = identity.epoch
        return identity.file(self.announced.path, self.version)


@dataclass(slots=True, eq=False)
class UploadBatch:
    """Small contents in one call. A file whose bytes could not be read goes without: the server asks another pod."""

    uploads: list[Upload]
    request: v2_pb2.UploadBatchRequest
    has_bytes: list[bool] = field(default_factory=list)
    sent_at: float = 0.0
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class BatchRead(SendEvent):
    """The bytes of a batch are in its request, or could not be read for this reason."""

    batch: UploadBatch
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class _Full:
    """A store that had no room for a content of this size."""

    size: int
    failure: Failure
    until: float


class Uploads:
    """Sends contents, a few large ones at a time, and small ones in batches. The harvesting thread owns it.

    Large ones leave one of the calls that the server allows to the small ones, so that these wait for no large one.

    Attributes:
        ended_at: when the last one ended (monotonic).
    """

    def __init__(self, connection: Connection, events: EventQueue, state: ServerState) -> None:
        self.ended_at = 0.0
        self._connection = connection
        self._events = events
        self._state = state
        self._new: deque[Upload] = deque()
        self._small: deque[Upload] = deque()
        self._large: deque[Upload] = deque()
        self._streams: dict[AnnouncedPath, Upload] = {}
        self._batches: dict[UploadBatch, None] = {}
        self._batch_bytes = _FIRST_BATCH_BYTES
        self._full: _Full | None = None
        # A thread of its own: those that hash may be busy with a core file for seconds, and the server waits.
        self._reader = Workers("kharvest-packer", 1)

    @property
    def is_waiting(self) -> bool:
        """Whether there are uploads that have not started."""
        return bool(self._new or self._small or self._large)

    @property
    def has_enough(self) -> bool:
        """Whether so many wait that more need not be announced."""
        return len(self._small) > _ENOUGH_SMALL or len(self._large) > _ENOUGH_LARGE

    def add(self, announced: AnnouncedPath, version: Version) -> None:
        """Upload the content as soon as there is room for it; if it has changed by then, let the server know."""
        self._new.append(Upload(announced, version))

    def cancel(self, announced: AnnouncedPath) -> None:
        """Give up an upload, if it is a large one; it ends soon. A batch does so anyhow."""
        upload = self._streams.get(announced)
        if upload is not None and upload.call is not None:
            upload.call.cancel()

    def turn(self, limits: v2_pb2.Limits, identity: PodIdentity) -> list[Upload]:
        """Start what there is room for. Returns the uploads that ended without being tried."""
        ended = self._give_back()
        while self._new:
            upload = self._new.popleft()
            is_small = limits.max_batch_bytes > 0 and upload.version.size <= self._batch_limit(limits)
            (self._small if is_small else self._large).append(upload)
        most = max(1, limits.max_uploads)
        while self._small and len(self._batches) < MAX_BATCHES and self._running < most:
            self._read_batch(limits, identity)
        while self._large and len(self._streams) < max(1, most - 1) and self._running < most:
            self._stream(self._large.popleft(), identity, limits.max_chunk_bytes)
        return ended

    def send(self, read: BatchRead) -> list[Upload]:
        """Send a batch whose bytes were read. Returns its uploads if that failed."""
        batch = read.batch
        if read.failure is not None:
            return self._end_batch(batch, read.failure)
        batch.sent_at = time.monotonic()
        batch.call = self._connection.call(batch, self._connection.harvest.UploadBatch, batch.request, _BATCH_SECONDS)
        batch.request = v2_pb2.UploadBatchRequest()  # its bytes are gRPC's now
        return []

    def end(self, ended: CallEnded) -> list[Upload]:
        """Take over the end of a call. Returns its uploads."""
        self.ended_at = time.monotonic()
        if isinstance(ended.subject, UploadBatch):
            self._adapt(self.ended_at - ended.subject.sent_at)
            return self._end_batch(ended.subject, ended.outcome)
        return self._end_stream(ended.subject, ended.outcome) if isinstance(ended.subject, Upload) else []

    def close(self) -> None:
        """Give everything up."""
        self._new.clear()
        self._small.clear()
        self._large.clear()
        for upload in self._streams.values():
            if upload.call is not None:
                upload.call.cancel()
            if upload.stream is not None:
                upload.stream.close()
        for batch in self._batches:
            if batch.call is not None:
                batch.call.cancel()
        self._reader.close()

    @property
    def _running(self) -> int:
        return len(self._streams) + len(self._batches)

    def _batch_limit(self, limits: v2_pb2.Limits) -> int:
        return min(self._batch_bytes, limits.max_batch_bytes)

    def _give_back(self) -> list[Upload]:
        """End what need not be tried, as the store has no room for it."""
        full = self._full
        if full is None:
            return []
        if time.monotonic() >= full.until:
            self._full = None
            return []
        ended = []
        for waiting in (self._new, self._small, self._large):
            for upload in [one for one in waiting if one.version.size >= full.size]:
                waiting.remove(upload)
                upload.outcome = full.failure
                ended.append(upload)
        return ended

    def _stream(self, upload: Upload, identity: PodIdentity, chunk_bytes: int) -> None:
        announced = upload.announced
        reading = announced.reading if announced.version == upload.version else None
        file = upload.header(identity)
        header = v2_pb2.UploadHeader(pod=identity.pod, metadata=identity.metadata, file=file)
        upload.stream = ContentStream(reading, header, chunk_bytes, self._state.hear)
        upload.call = self._connection.call(upload, self._connection.harvest.Upload, upload.stream, None)
        self._streams[announced] = upload

    def _end_stream(self, upload: Upload, outcome: v2_pb2.UploadReply | Failure) -> list[Upload]:
        del self._streams[upload.announced]
        stream, upload.stream = upload.stream, None
        if stream is not None:
            stream.close()
            upload.sent_bytes = stream.sent_bytes
            upload.has_grown = stream.has_grown
        self._note_room(upload.version, outcome)
        has_changed = stream is not None and stream.problem is not None and isinstance(outcome, Failure)
        upload.outcome = Changed() if has_changed else outcome
        return [upload]

    def _read_batch(self, limits: v2_pb2.Limits, identity: PodIdentity) -> None:
        """Take as many small contents as go into one batch, and have them read."""
        batch = UploadBatch([], v2_pb2.UploadBatchRequest(pod=identity.pod, metadata=identity.metadata))
        self._batches[batch] = None
        files: list[v2_pb2.File] = []
        left = self._batch_limit(limits)
        most = max(1, min(MAX_FILES, limits.max_files))
        while self._small and len(files) < most and (not files or self._small[0].version.size <= left):
            upload = self._small.popleft()
            left -= upload.version.size
            batch.uploads.append(upload)
            files.append(upload.header(identity))
        readings = [upload.announced.reading for upload in batch.uploads]

        def read() -> None:
            failure = None
            try:
                for upload, reading, file in zip(batch.uploads, readings, files, strict=True):
                    content = None if reading is None else read_whole(reading.location, upload.version)
                    batch.has_bytes.append(content is not None)
                    batch.request.contents.add(file=file, content=content)
            except Exception as error:  # the outermost frame of this thread: these files are announced again
                logger.exception("a batch of contents could not be read. Report this as a bug of kharvest")
                failure = Failure(Trouble.BUSY, "IO_ERROR", repr(error))
                batch.has_bytes = [True] * len(files)
            self._events.post(BatchRead(batch, failure))

        self._reader.do(read)

    def _end_batch(self, batch: UploadBatch, outcome: v2_pb2.UploadBatchReply | Failure) -> list[Upload]:
        """Say of each file how it ended, as if it had been uploaded by itself."""
        del self._batches[batch]
        for index, (upload, has_bytes) in enumerate(zip(batch.uploads, batch.has_bytes, strict=True)):
            upload.outcome = outcome if isinstance(outcome, Failure) else _outcome(index, outcome)
            if not has_bytes:
                upload.outcome = Changed()
            elif batch.sent_at:
                upload.sent_bytes = upload.version.size
            self._note_room(upload.version, upload.outcome)
        return batch.uploads

    def _note_room(self, version: Version, outcome: v2_pb2.UploadReply | Failure | Changed) -> None:
        if isinstance(outcome, Failure) and outcome.reason == "STORE_FULL":
            size = version.size if self._full is None else min(version.size, self._full.size)
            self._full = _Full(size, outcome, time.monotonic() + _FULL_SECONDS)
        elif isinstance(outcome, v2_pb2.UploadReply) and self._full is not None and version.size >= self._full.size:
            self._full = None

    def _adapt(self, seconds: float) -> None:
        if seconds > _SLOW_SECONDS:
            self._batch_bytes = max(self._batch_bytes // 2, _LEAST_BATCH_BYTES)
        elif seconds < _FAST_SECONDS:
            self._batch_bytes = min(self._batch_bytes * 2, _MOST_BATCH_BYTES)


def _outcome(index: int, reply: v2_pb2.UploadBatchReply) -> v2_pb2.UploadReply | Failure:
    arrival = reply.arrivals[index] if index < len(reply.arrivals) else v2_pb2.ARRIVAL_UNSPECIFIED
    if arrival in (v2_pb2.STORED, v2_pb2.ALREADY_STORED):
        return v2_pb2.UploadReply(already_stored=arrival == v2_pb2.ALREADY_STORED)
    refusal = next((one for one in reply.refusals if one.index == index), None)
    if refusal is None:
        return Failure(Trouble.BUSY, "UNANSWERED", "the server's reply does not mention it")
    pushback = reply.retry_after_ms / 1000 if reply.retry_after_ms else None
    return refused(name_of(refusal.reason), refusal.message, pushback)
