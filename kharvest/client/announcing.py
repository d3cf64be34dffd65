"""The server's side of a track: announce it until it is acknowledged, and upload what the server asks for."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count, zip_longest

from kharvest.client.backoff import jitter
from kharvest.client.batches import MAX_FILES
from kharvest.client.connection import Call, Connection, Failure, Trouble
from kharvest.client.errors import Changed
from kharvest.client.files import Version
from kharvest.client.inbox import Inbox
from kharvest.client.link import Link
from kharvest.client.tracks import Refusal, Track
from kharvest.client.uploads import Speaker, Uploaded, Uploads
from kharvest.wire import v2_pb2

logger = logging.getLogger(__name__)

_MAX_CALLS = 16
"""Announces under way at once. Where more are needed, the one that is held the longest is given up for it."""
_HELD_SECONDS = 1.0
"""An Announce that takes longer than this is taken to be held; uploads of which none ended for so long, to be slow."""
_MAX_YOUNG_CALLS = 4
"""Announces under way at once that are not held: what they ask for should be uploaded while it is still wanted."""
_LINGER_SECONDS = 0.05
"""How long a file waits for others that are being read, to be announced in one call with them."""
_CONFIRM_SECONDS = 5.0
"""When to confirm a version, if a call with another one was lost: by then the server is done with that call."""
_MAX_BATCH_BYTES = 1 << 20
"""Of paths in one Announce, to stay well within gRPC's 4 MiB."""
_MAX_RETRY_SECONDS = 30.0


@dataclass(slots=True, eq=False)
class _Batch:
    """One Announce under way."""

    versions: dict[Track, Version]
    started: float
    call: Call[v2_pb2.AnnounceReply] | None = None
    is_cancelled: bool = False

    def cancel(self) -> None:
        if self.call is not None and not self.is_cancelled:
            self.is_cancelled = True
            self.call.cancel()


class Announcer:
    """Brings the newest version of every track to the server, and forgets older ones. The harvesting thread owns it.

    At most one call concerns a track at any time. A call under way with an older version is given up for a newer one.
    No held call keeps other files waiting.
    """

    def __init__(
        self,
        connection: Connection,
        inbox: Inbox,
        link: Link,
        *,
        pod: v2_pb2.Pod,
        metadata: Mapping[str, str],
        root: str,
        reread: Callable[[Track], None],
        more_is_coming: Callable[[], bool],
        resolved: Callable[[Track], None],
    ) -> None:
        self.uploaded = 0
        self.uploaded_bytes = 0
        self._metadata = metadata
        self._epoch = 0  # of the metadata
        self._connection = connection
        self._inbox = inbox
        self._link = link
        self._pod = pod
        self._root_length = len(root.rstrip("/"))
        self._reread = reread
        self._more_is_coming = more_is_coming
        self._resolved = resolved
        self._ready: dict[Track, None] = {}
        self._ready_since = 0.0
        self._later: list[tuple[float, int, Track]] = []
        self._order = count()
        self._batches: dict[_Batch, None] = {}
        self._batch_of: dict[Track, _Batch] = {}
        self._uploads = Uploads(
            connection,
            inbox,
            speaker=lambda: Speaker(self._pod, self._metadata),
            file=self._file_sent,
            progress=self._progressed,
            ended=self._uploaded,
        )

    def want(self, track: Track) -> None:
        """See that the server learns of the track's version."""
        if track.sent is not None:
            if track.sent != track.version:  # the call under way does not matter any more
                self._uploads.cancel(track)
                if track in self._batch_of:
                    self._batch_of[track].cancel()
        elif not track.is_acknowledged and not track.is_refused:
            if track.failures:
                self._announce_later(track, min(2.0**track.failures, _MAX_RETRY_SECONDS) * (0.5 + jitter(0.5)))
            else:
                self._announce(track)

    def again(self, tracks: Iterable[Track], within_seconds: float) -> None:
        """Announce again what was acknowledged, all at one moment within this time. The rest is on its way anyhow."""
        wait = jitter(within_seconds)
        for track in tracks:
            if track.version is not None and track.is_acknowledged and not track.version.is_removal:
                self._announce_later(track, wait)

    def change_metadata(self, metadata: Mapping[str, str], tracks: Iterable[Track]) -> None:
        """Announce with other metadata from now on, and every current file again with these."""
        self._metadata = metadata
        self._epoch += 1
        for track in tracks:
            if track.version is not None and not track.version.is_removal:
                track.acknowledged = None
                track.refusal = None
                self.want(track)

    def turn(self, now: float) -> float | None:
        """Make the calls that are due. Returns when the next ones will be, as far as no answer comes before."""
        while self._later and self._later[0][0] <= now:
            self._announce(heapq.heappop(self._later)[2])
        later = self._later[0][0] if self._later else None
        if self._link.limits is None or not (self._ready or self._uploads.is_waiting) or not self._link.is_ready(now):
            return later
        self._uploads.turn(self._link.limits)
        max_files = max(1, min(self._link.limits.max_files, MAX_FILES))
        while self._ready:
            wait_until = self._wait_until(now, max_files)
            if wait_until > now:
                return wait_until if later is None else min(later, wait_until)
            if len(self._batches) >= _MAX_CALLS:
                next(iter(self._batches)).cancel()
                break  # its end will wake us
            self._send(max_files, now)
        return later

    def _wait_until(self, now: float, max_files: int) -> float:
        """When to look again whether what is ready should be announced; not after `now` if it should be at once."""
        if len(self._ready) < max_files and self._more_is_coming() and now < self._ready_since + _LINGER_SECONDS:
            return self._ready_since + _LINGER_SECONDS
        if self._uploads.has_enough and now < self._uploads.ended_at + _HELD_SECONDS:
            return self._uploads.ended_at + _HELD_SECONDS
        young = [batch.started for batch in self._batches if now < batch.started + _HELD_SECONDS]
        return young[0] + _HELD_SECONDS if len(young) >= _MAX_YOUNG_CALLS else now

    def close(self) -> None:
        """Give up every call."""
        for batch in self._batches:
            batch.cancel()
        self._uploads.close()

    def _announce(self, track: Track) -> None:
        if track.sent is None and track.version is not None and not track.dropped and not track.is_refused:
            if not self._ready:
                self._ready_since = time.monotonic()
            self._ready[track] = None

    def _announce_later(self, track: Track, seconds: float) -> None:
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), track))

    def _send(self, max_files: int, now: float) -> None:
        """Announce as many of those that are ready as one call may have."""
        batch = _Batch({}, now)
        files: list[v2_pb2.File] = []
        left = _MAX_BATCH_BYTES
        for track in list(self._ready):
            if len(files) == max_files or left <= 0:
                break
            del self._ready[track]
            if track.version is None or track.dropped or track.sent is not None:
                continue
            file = self._file(track, track.version)
            files.append(file)
            left -= len(track.path)
            batch.versions[track] = track.sent = track.version
            track.sent_epoch = self._epoch
            track.announced = True
            self._batch_of[track] = batch
        if files:
            request = v2_pb2.AnnounceRequest(pod=self._pod, metadata=self._metadata, files=files)
            self._batches[batch] = None
            batch.call = self._connection.announce(
                request, lambda outcome: self._inbox.post(partial(self._answered, batch, outcome))
            )

    def _answered(self, batch: _Batch, outcome: v2_pb2.AnnounceReply | Failure) -> None:
        del self._batches[batch]
        for track in batch.versions:
            track.sent = None
            del self._batch_of[track]
        if isinstance(outcome, Failure):
            if outcome.trouble is not Trouble.CANCELLED:
                self._link.fail(outcome)
            for track, version in batch.versions.items():
                track.unanswered |= {version}
                self._announce(track)
            return
        self._link.succeed()
        refusals = {refusal.index: refusal for refusal in outcome.refusals}
        retry_seconds = max(outcome.retry_after_ms / 1000, 0.05)
        for index, (item, answer) in enumerate(zip_longest(batch.versions.items(), outcome.answers)):
            if item is None:  # more answers than files: nobody asked
                break
            track, version = item
            if answer == v2_pb2.ACKNOWLEDGED:
                self._acknowledged(track, version)
            elif answer == v2_pb2.UPLOAD:
                track.sent = version
                self._uploads.add(track, version)
            elif answer == v2_pb2.REFUSED:
                refusal = refusals.get(index, v2_pb2.Refusal())
                self._refused(track, version, v2_pb2.Reason.Name(refusal.reason), refusal.message)
            elif track.version != version:
                self.want(track)
            else:
                self._announce_later(track, retry_seconds * 0.9 + jitter(retry_seconds * 0.4))

    def _uploaded(self, upload: Uploaded) -> None:
        track, version = upload.track, upload.version
        track.sent = None
        self.uploaded_bytes += upload.sent_bytes
        match upload.outcome:
            case v2_pb2.UploadReply(already_stored=already_stored):
                self._link.succeed()
                self.uploaded += not already_stored
                self._acknowledged(track, version)
            case Changed():
                self._file_changed(track, version)
            case Failure(reason="CONTENT_MISMATCH"):
                track.failures += 1
                self._file_changed(track, version)
            case Failure(trouble=Trouble.REFUSED, reason=reason, message=message):
                self._refused(track, version, reason, message)
            case Failure(trouble=Trouble.BUSY, pushback_seconds=pushback, reason=reason, message=message):
                track.failures += 1
                logger.debug("%r: upload failed: %s (%s); announcing it again", track.path, message, reason)
                wait = min(0.2 * 2.0**track.failures, _MAX_RETRY_SECONDS) * (0.5 + jitter(0.5))
                self._announce_later(track, wait if pushback is None else pushback + jitter(pushback / 4))
            case Failure() as failure:
                track.unanswered |= {version}
                if failure.trouble is Trouble.AWAY:
                    self._link.fail(failure)
                self._announce(track)

    def _file_changed(self, track: Track, version: Version) -> None:
        if track.version != version:
            self.want(track)
        elif not track.dropped:
            self._reread(track)

    def _acknowledged(self, track: Track, version: Version) -> None:
        track.failures = 0
        if track.sent_epoch == self._epoch:
            track.acknowledged = version
        if track.unanswered - {version}:  # one of them may yet be recorded, after this one
            self._announce_later(track, _CONFIRM_SECONDS)
        track.unanswered = frozenset()
        self.want(track)
        self._resolved(track)

    def _refused(self, track: Track, version: Version, reason: str, message: str) -> None:
        track.refusal = Refusal(version, reason, message)
        track.failures = 0
        logger.error("%r was refused: %s (%s); it is not announced again until it changes", track.path, message, reason)
        self.want(track)

    def _file_sent(self, track: Track, version: Version) -> v2_pb2.File:
        """The file that is uploaded, with the metadata as they are now."""
        track.sent_epoch = self._epoch
        return self._file(track, version)

    def _progressed(self) -> None:
        """A chunk was taken; on a thread of gRPC's. Setting a float needs no lock."""
        self._link.heard_at = time.monotonic()

    def _file(self, track: Track, version: Version) -> v2_pb2.File:
        path = track.path[self._root_length :]
        return v2_pb2.File(path=path, md5=version.md5, sha256=version.sha256, size=version.size)
