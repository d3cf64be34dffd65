"""The uploads under way, and those that wait for one of them to end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from kharvest.client.connection import Call, Connection, Failure
from kharvest.client.errors import Changed
from kharvest.client.files import Version
from kharvest.client.inbox import Inbox
from kharvest.client.tracks import Track
from kharvest.client.uploading import Source
from kharvest.wire import v2_pb2


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


@dataclass(slots=True, eq=False)
class _Upload:
    version: Version
    source: Source
    call: Call[v2_pb2.UploadReply]


class Uploads:
    """Sends contents, a few at a time. The harvesting thread owns it."""

    def __init__(
        self,
        connection: Connection,
        inbox: Inbox,
        *,
        header: Callable[[Track, Version], v2_pb2.UploadHeader],
        progress: Callable[[], None],
        ended: Callable[[Uploaded], None],
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._header = header
        self._progress = progress
        self._ended = ended
        self.ended_at = 0.0  # when the last one did (monotonic)
        self._waiting: deque[tuple[Track, Version]] = deque()
        self._running: dict[Track, _Upload] = {}

    @property
    def waiting(self) -> int:
        """How many uploads have not started."""
        return len(self._waiting)

    def add(self, track: Track, version: Version) -> None:
        """Upload the content as soon as there is room for it; if it has changed by then, let the server know."""
        self._waiting.append((track, version))

    def cancel(self, track: Track) -> None:
        """Give up the upload of this track; it ends soon."""
        if track in self._running:
            self._running[track].call.cancel()

    def turn(self, limits: v2_pb2.Limits) -> None:
        """Start what there is room for."""
        while self._waiting and len(self._running) < max(1, limits.max_uploads):
            track, version = self._waiting.popleft()
            self._start(track, version, limits.max_chunk_bytes)

    def close(self) -> None:
        """Give everything up."""
        self._waiting.clear()
        for upload in self._running.values():
            upload.call.cancel()
            upload.source.close()

    def _start(self, track: Track, version: Version, chunk_bytes: int) -> None:
        stamp = track.stamp if track.version == version else None
        source = Source(track.path, stamp, self._header(track, version), chunk_bytes, self._progress)
        call = self._connection.upload(source, lambda outcome: self._inbox.post(partial(self._end, track, outcome)))
        self._running[track] = _Upload(version, source, call)

    def _end(self, track: Track, outcome: v2_pb2.UploadReply | Failure) -> None:
        self.ended_at = time.monotonic()
        upload = self._running.pop(track)
        upload.source.close()
        changed = upload.source.problem is not None and isinstance(outcome, Failure)
        self._ended(Uploaded(track, upload.version, Changed() if changed else outcome, upload.source.sent_bytes))
