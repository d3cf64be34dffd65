"""The Announce calls under way, and the paths that are ready for the next one."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from kharvest.client._events import EventQueue
from kharvest.client._send.announced_path import AnnouncedPath, PodIdentity
from kharvest.client._send.connection import Call, Connection, SendEvent
from kharvest.client._send.uploads import MAX_FILES
from kharvest.client._watch.content import Version
from kharvest.wire import v2_pb2

_ANNOUNCE_SECONDS = 30.0
"""How long a call may be held by the server while another pod uploads."""
_MAX_CALLS = 16
"""Under way at once. Where more are needed, the one that is held the longest is given up for it."""
HELD_SECONDS = 1.0
"""A call that takes longer than this is taken to be held by the server."""
_MAX_YOUNG_CALLS = 4
"""Under way at once that are not held: what they ask for should be uploaded while it is still wanted."""
_LINGER_SECONDS = 0.05
"""How long a path waits for files that are being read, to be announced in one call with them."""
_MAX_PATHS_BYTES = 1 << 20
"""Of paths in one call, to stay well within gRPC's 4 MiB."""


@dataclass(slots=True, eq=False)
class AnnounceCall:
    """One Announce under way, with the metadata of an epoch."""

    versions: dict[AnnouncedPath, Version]
    epoch: int
    started: float
    call: Call | None = None
    is_cancelled: bool = False

    def cancel(self) -> None:
        """Give it up, once."""
        if self.call is not None and not self.is_cancelled:
            self.is_cancelled = True
            self.call.cancel()


class AnnounceCalls(SendEvent):
    """Puts paths that are ready together into calls. As an event: more may be announced now.

    The harvesting thread owns it. No held call keeps other files waiting.
    """

    def __init__(self, connection: Connection, events: EventQueue) -> None:
        self._connection = connection
        self._timers = events.timers
        self._session = os.urandom(8).hex()  # by which the server tells us from another client of this pod
        self._ready: dict[AnnouncedPath, None] = {}
        self._ready_since = 0.0
        self._calls: dict[AnnounceCall, None] = {}
        self._call_of: dict[AnnouncedPath, AnnounceCall] = {}

    @property
    def has_ready(self) -> bool:
        """Whether there is something to announce."""
        return bool(self._ready)

    def add(self, announced: AnnouncedPath) -> None:
        """Announce it with the next call."""
        if not self._ready:
            self._ready_since = time.monotonic()
        self._ready[announced] = None

    def discard(self, announced: AnnouncedPath) -> None:
        """Do not announce it with the next call."""
        self._ready.pop(announced, None)

    def cancel(self, announced: AnnouncedPath) -> None:
        """Give up the call under way that it is in."""
        if announced in self._call_of:
            self._call_of[announced].cancel()

    def turn(self, limits: v2_pb2.Limits, identity: PodIdentity, *, more_is_coming: bool, not_before: float) -> None:
        """Make the calls that can be made now, or plan when to look again."""
        now = time.monotonic()
        max_files = max(1, min(limits.max_files, MAX_FILES))
        while self._ready:
            wait_until = max(not_before, self._wait_until(now, max_files, more_is_coming=more_is_coming))
            if wait_until > now:
                self._timers.put(self, wait_until)
                return
            if len(self._calls) >= _MAX_CALLS:
                next(iter(self._calls)).cancel()
                return  # its end is an event
            self._announce(max_files, identity, now)

    def end(self, call: AnnounceCall) -> None:
        """Note that a call has ended."""
        del self._calls[call]
        for announced in call.versions:
            announced.sent = None
            del self._call_of[announced]

    def close(self) -> None:
        """Give up every call."""
        for call in self._calls:
            call.cancel()

    def _wait_until(self, now: float, max_files: int, *, more_is_coming: bool) -> float:
        """When to look again whether what is ready should be announced; not after `now` if it should be at once."""
        if len(self._ready) < max_files and more_is_coming and now < self._ready_since + _LINGER_SECONDS:
            return self._ready_since + _LINGER_SECONDS
        young = [call.started for call in self._calls if now < call.started + HELD_SECONDS]
        return young[0] + HELD_SECONDS if len(young) >= _MAX_YOUNG_CALLS else now

    def _announce(self, max_files: int, identity: PodIdentity, now: float) -> None:
        """Announce as many of those that are ready as one call may have."""
        call = AnnounceCall({}, identity.epoch, now)
        files: list[v2_pb2.File] = []
        left = _MAX_PATHS_BYTES
        for announced in list(self._ready):
            if len(files) == max_files or left <= 0:
                break
            del self._ready[announced]
            if announced.version is None or announced.sent is not None:
                continue
            files.append(identity.file(announced.path, announced.version))
            left -= len(announced.path)
            call.versions[announced] = announced.sent = announced.version
            announced.is_known = True
            self._call_of[announced] = call
        if files:
            request = v2_pb2.AnnounceRequest(
                pod=identity.pod, metadata=identity.metadata, files=files, session=self._session
            )
            self._calls[call] = None
            call.call = self._connection.call(call, self._connection.harvest.Announce, request, _ANNOUNCE_SECONDS)
