"""The uploads under way, and those that wait for one of them to end."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from kharvest.client.batches import MAX_FILES, Parcel, outcomes, pack
from kharvest.client.connection import Call, Connection, Failure, Trouble
from kharvest.client.errors import Changed
from kharvest.client.files import Version
from kharvest.client.inbox import Inbox
from kharvest.client.reading import Workers
from kharvest.client.tracks import Track
from kharvest.client.uploading import Source
from kharvest.wire import v2_pb2

logger = logging.getLogger(__name__)

MAX_BATCHES = 2
"""Under way at once: one is sent while the server stores the other. Each is held in memory."""
_FIRST_BATCH_BYTES = 256 * 1024
_LEAST_BATCH_BYTES = 16 * 1024
_MOST_BATCH_BYTES = 1024 * 1024
_SLOW_SECONDS = 2.0
"""A batch that takes longer is followed by smaller ones: what the server asks for has to be there within seconds."""
_FAST_SECONDS = 0.5
_ENOUGH_SMALL = 2 * MAX_FILES
_ENOUGH_LARGE = 64
"""With more than these waiting, the server need not ask for still more."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """How an upload ended.

    `outcome` is the server's reply, or its failure, or why the file could not be sent: it changed. `sent_bytes` is what
    was sent of the content.
    """

    track: Track
    version: Version
    outcome: v2_pb2.UploadReply | Failure | Changed
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who uploads: the pod, with the metadata that it has now."""

    pod: v2_pb2.Pod
    metadata: Mapping[str, str]


@dataclass(slots=True, eq=False)
class _Stream:
    version: Version
    source: Source
    call: Call[v2_pb2.UploadReply]


@dataclass(slots=True, eq=False)
class _Batch:
    request: v2_pb2.UploadBatchRequest
    parcels: list[Parcel] = field(default_factory=list)
    sent_at: float = 0.0
    call: Call[v2_pb2.UploadBatchReply] | None = None


class Uploads:
    """Sends contents, a few large ones at a time, and small ones in batches. The harvesting thread owns it.

    Large ones leave one of the calls that the server allows to the small ones, so that these wait for no large one.
    """

    def __init__(
        self,
        connection: Connection,
        inbox: Inbox,
        *,
        speaker: Callable[[], Speaker],
        file: Callable[[Track, Version], v2_pb2.File],
        progress: Callable[[], None],
        ended: Callable[[Uploaded], None],
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._speaker = speaker
        self._file = file
        self._progress = progress
        self._ended = ended
        self.ended_at = 0.0  # when the last one did (monotonic)
        self._new: deque[tuple[Track, Version]] = deque()
        self._small: deque[tuple[Track, Version]] = deque()
        self._large: deque[tuple[Track, Version]] = deque()
        self._streams: dict[Track, _Stream] = {}
        self._batches: dict[_Batch, None] = {}
        self._batch_bytes = _FIRST_BATCH_BYTES
        # A thread of its own: those that tell versions may be at a core file for seconds, and the server waits.
        self._packer = Workers("kharvest-packer", 1)

    @property
    def is_waiting(self) -> bool:
        """Whether there are uploads that have not started."""
        return bool(self._new or self._small or self._large)

    @property
    def has_enough(self) -> bool:
        """Whether so many wait that the server need not ask for more."""
        return len(self._small) > _ENOUGH_SMALL or len(self._large) > _ENOUGH_LARGE

    def add(self, track: Track, version: Version) -> None:
        """Upload the content as soon as there is room for it; if it has changed by then, let the server know."""
        self._new.append((track, version))

    def cancel(self, track: Track) -> None:
        """Give up the upload of this track, if it is a large one; it ends soon. A batch does so anyhow."""
        if track in self._streams:
            self._streams[track].call.cancel()

    def turn(self, limits: v2_pb2.Limits) -> None:
        """Start what there is room for."""
        while self._new:
            track, version = self._new.popleft()
            is_small = version.size <= min(self._batch_bytes, limits.max_batch_bytes) and limits.max_batch_bytes
            (self._small if is_small else self._large).append((track, version))
        most = max(1, limits.max_uploads)
        while self._small and len(self._batches) < MAX_BATCHES and self._running < most:
            self._pack(limits)
        while self._large and len(self._streams) < max(1, most - 1) and self._running < most:
            track, version = self._large.popleft()
            self._stream(track, version, limits.max_chunk_bytes)

    def close(self) -> None:
        """Give everything up."""
        self._new.clear()
        self._small.clear()
        self._large.clear()
        for stream in self._streams.values():
            stream.call.cancel()
            stream.source.close()
        for batch in self._batches:
            if batch.call is not None:
                batch.call.cancel()
        self._packer.close()

    @property
    def _running(self) -> int:
        return len(self._streams) + len(self._batches)

    def _stream(self, track: Track, version: Version, chunk_bytes: int) -> None:
        stamp = track.stamp if track.version == version else None
        speaker = self._speaker()
        header = v2_pb2.UploadHeader(pod=speaker.pod, metadata=speaker.metadata, file=self._file(track, version))
        source = Source(track.path, stamp, header, chunk_bytes, self._progress)
        call = self._connection.upload(source, lambda outcome: self._inbox.post(partial(self._end, track, outcome)))
        self._streams[track] = _Stream(version, source, call)

    def _end(self, track: Track, outcome: v2_pb2.UploadReply | Failure) -> None:
        self.ended_at = time.monotonic()
        stream = self._streams.pop(track)
        stream.source.close()
        changed = stream.source.problem is not None and isinstance(outcome, Failure)
        self._ended(Uploaded(track, stream.version, Changed() if changed else outcome, stream.source.sent_bytes))

    def _pack(self, limits: v2_pb2.Limits) -> None:
        """Take as many small contents as go into one batch, and have them read."""
        speaker = self._speaker()
        batch = _Batch(v2_pb2.UploadBatchRequest(pod=speaker.pod, metadata=speaker.metadata))
        self._batches[batch] = None
        files: list[v2_pb2.File] = []
        left = min(self._batch_bytes, limits.max_batch_bytes)
        most = max(1, min(MAX_FILES, limits.max_files))
        while self._small and len(files) < most and (not files or self._small[0][1].size <= left):
            track, version = self._small.popleft()
            left -= version.size
            batch.parcels.append(Parcel(track, version, track.stamp if track.version == version else None))
            files.append(self._file(track, version))
        self._packer.do(partial(self._read, batch, files))

    def _read(self, batch: _Batch, files: list[v2_pb2.File]) -> None:
        """On the packer's thread."""
        try:
            pack(batch.parcels, files, batch.request)
        except Exception as error:  # the outermost frame of this thread: these files are announced again
            logger.exception("a batch of contents could not be read. Report this as a bug of kharvest")
            self._inbox.post(partial(self._end_batch, batch, Failure(Trouble.BUSY, "IO_ERROR", repr(error))))
        else:
            self._inbox.post(partial(self._send, batch))

    def _send(self, batch: _Batch) -> None:
        batch.sent_at = time.monotonic()
        batch.call = self._connection.upload_batch(
            batch.request, lambda outcome: self._inbox.post(partial(self._end_batch, batch, outcome))
        )
        batch.request = v2_pb2.UploadBatchRequest()  # its bytes are gRPC's now

    def _end_batch(self, batch: _Batch, answer: v2_pb2.UploadBatchReply | Failure) -> None:
        self.ended_at = time.monotonic()
        del self._batches[batch]
        self._adapt(self.ended_at - batch.sent_at)
        for parcel, outcome in zip(batch.parcels, outcomes(batch.parcels, answer), strict=True):
            sent = parcel.version.size if parcel.is_packed else 0
            self._ended(Uploaded(parcel.track, parcel.version, outcome, sent))

    def _adapt(self, seconds: float) -> None:
        if seconds > _SLOW_SECONDS:
            self._batch_bytes = max(self._batch_bytes // 2, _LEAST_BATCH_BYTES)
        elif seconds < _FAST_SECONDS:
            self._batch_bytes = min(self._batch_bytes * 2, _MOST_BATCH_BYTES)
