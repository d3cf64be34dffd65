"""Announces the newest version of every path until it is acknowledged, and uploads what the server asks for."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from kharvest.client._backoff import MOST_SECONDS, jitter, jittered, retry_seconds
from kharvest.client._config.client_config import ClientConfig
from kharvest.client._errors import Changed
from kharvest.client._events import EventQueue
from kharvest.client._send.announce_calls import HELD_SECONDS, AnnounceCall, AnnounceCalls
from kharvest.client._send.announced_path import AnnouncedPath, PodIdentity
from kharvest.client._send.connection import (
    CallEnded,
    Connection,
    ConnectionChecked,
    Failure,
    SendEvent,
    Trouble,
    name_of,
)
from kharvest.client._send.recall import Recall
from kharvest.client._send.server_state import ServerDue, ServerState
from kharvest.client._send.uploads import BatchRead, Upload, Uploads
from kharvest.client._watch.content import Reading, Version
from kharvest.client._watch.watcher import Watcher
from kharvest.wire import v2_pb2

logger = logging.getLogger(__name__)

_CONFIRM_SECONDS = 5.0
"""When to confirm a version, if a call with another one was lost: by then the server is done with that call."""


class Sender:
    """The room's door: it takes what paths hold, and tells the watcher what the server says of them.

    The harvesting thread owns it. It announces the newest version of a path, and forgets older ones. At most one call
    concerns a path at any time. A call under way with an older version is given up for a newer one.

    Attributes:
        paths: what is announced, by path.
        uploaded: contents uploaded since the start; `uploaded_bytes` their bytes, with those of failed uploads.
        state: whether the server can be called.
    """

    def __init__(self, events: EventQueue, config: ClientConfig, watcher: Watcher, *, spread_seconds: float) -> None:
        self.paths: dict[str, AnnouncedPath] = {}
        self.uploaded = 0
        self.uploaded_bytes = 0
        self._timers = events.timers
        self._watcher = watcher
        self._spread_seconds = spread_seconds
        pod = v2_pb2.Pod(namespace=config.namespace, name=config.pod, uid=config.uid)
        self._identity = PodIdentity(pod, config.metadata, config.root)
        self._connection = Connection(config.server, config.proxy, events)
        self.state = ServerState(self._connection, events)
        self._recall = Recall(self._connection, events, self.state, self._identity, spread_seconds)
        self._uploads = Uploads(self._connection, events, self.state)
        self._calls = AnnounceCalls(self._connection, events)
        self._last_limits: v2_pb2.Limits | None = None
        self._stuck_reasons: set[str] = set()  # those that were logged since a content was stored

    @property
    def has_recalled(self) -> bool:
        """Whether all that the server has of this pod is known."""
        return self._recall.is_complete

    def observe(self, path: str, reading: Reading | None, *, is_watched: bool) -> None:
        """See that the server learns what a path holds."""
        announced = self.paths.get(path)
        if announced is None:
            if reading is None:
                return  # gone before anything was announced of it
            announced = self.paths[path] = AnnouncedPath(path)
        announced.observe(reading, is_watched=is_watched)
        self._want(announced)
        self._tidy(announced)

    def recall(self, path: str) -> None:
        """Note that the server has a version of a watched path: if no file is there, that is a removal."""
        self.paths.setdefault(path, AnnouncedPath(path)).is_known = True

    def forget(self, path: str) -> None:
        """Announce nothing more of a path."""
        announced = self.paths.pop(path, None)
        if announced is not None:
            self._unplan(announced)

    def announce_all(self, within_seconds: float) -> None:
        """Announce again what was acknowledged, all at one moment within this time. The rest is on its way anyhow."""
        time_ = time.monotonic() + jitter(within_seconds)
        for announced in self.paths.values():
            version = announced.version
            if version is not None and announced.is_acknowledged and not version.is_removal:
                planned = self._timers.time_of(announced)
                if planned is None or planned > time_ + _CONFIRM_SECONDS:  # what is to be confirmed keeps its time
                    self._timers.put(announced, time_)

    def configure(self, config: ClientConfig) -> None:
        """Use another configuration from now on. With other metadata every current file is announced again."""
        self._spread_seconds = config.spread_seconds
        if config.metadata == self._identity.metadata:
            return
        self._identity = replace(self._identity, metadata=config.metadata, epoch=self._identity.epoch + 1)
        for announced in self.paths.values():
            if announced.version is not None and not announced.version.is_removal:
                announced.acknowledged = None
                announced.refusal = None
                self._want(announced)

    def handle(self, event: SendEvent) -> None:
        """React to an event of this room."""
        match event:
            case AnnouncedPath() as announced:
                self._announce(announced)
            case CallEnded(subject=AnnounceCall() as call, outcome=outcome):
                self._answered(call, outcome)
            case CallEnded(subject=ServerState(), outcome=outcome):
                if self.state.probed(outcome):
                    self._connected(outcome)
            case CallEnded(subject=Recall(), outcome=outcome):
                self._watcher.recall(self._recall.answered(outcome))
            case CallEnded():
                self._take_uploads(self._uploads.end(event))
            case BatchRead():
                self._take_uploads(self._uploads.send(event))
            case ConnectionChecked(is_connected=is_connected):
                self.state.checked(is_connected=is_connected)
                if is_connected:
                    self._recall.connected()
            case ServerDue() as due:
                self.state.act(due)
            case Recall() as recall:
                recall.act()

    def turn(self, *, more_is_coming: bool) -> None:
        """Make the calls that can be made now, or plan when to look again."""
        limits = self.state.limits
        has_work = self._calls.has_ready or self._uploads.is_waiting
        if limits is None or not has_work or not self.state.is_ready(time.monotonic()):
            return  # an event comes when that changes
        self._take_uploads(self._uploads.turn(limits, self._identity))
        not_before = self._uploads.ended_at + HELD_SECONDS if self._uploads.has_enough else 0.0
        self._calls.turn(limits, self._identity, more_is_coming=more_is_coming, not_before=not_before)

    def close(self) -> None:
        """Give up every call, and disconnect."""
        self._calls.close()
        self._uploads.close()
        self._connection.close()

    def _connected(self, limits: v2_pb2.Limits) -> None:
        if limits.max_content_bytes:
            self._watcher.limit(limits.max_content_bytes)
        if self._last_limits is not None:
            self.announce_all(self._spread_seconds)
            now = time.monotonic()
            have_changed = limits != self._last_limits
            for announced in self.paths.values():  # what was refused, as far as this may be another server
                refusal = announced.refusal
                if refusal is not None and announced.is_turned_down and (have_changed or now >= refusal.retry_at):
                    announced.refusal = replace(refusal, is_lifted=True)
                    self._timers.put_earlier(announced, now + jittered(self._spread_seconds))
        self._last_limits = limits
        self._recall.connected()

    def _want(self, announced: AnnouncedPath) -> None:
        """Announce the newest version, unless that is done or under way."""
        if announced.version is None:
            self._unplan(announced)
        elif announced.sent is not None:
            if announced.sent != announced.version:  # the call under way does not matter any more
                self._uploads.cancel(announced)
                self._calls.cancel(announced)
        elif not announced.is_done:
            if announced.refusal is not None and announced.refusal.is_lifted:  # the trouble is not with the file
                self._timers.put_earlier(announced, time.monotonic() + jittered(MOST_SECONDS))
            elif announced.failures:
                self._announce_later(announced, retry_seconds(announced.failures, first_seconds=2.0))
            else:
                self._announce(announced)

    def _is_current(self, announced: AnnouncedPath) -> bool:
        return self.paths.get(announced.path) is announced

    def _tidy(self, announced: AnnouncedPath) -> None:
        """Forget a path where no file is, when the server knows that, and it is not watched any more."""
        is_gone = announced.version is None or announced.version.is_removal
        if is_gone and announced.is_done and not announced.is_watched and self._is_current(announced):
            self.forget(announced.path)

    def _unplan(self, announced: AnnouncedPath) -> None:
        self._calls.discard(announced)
        self._timers.discard(announced)

    def _announce(self, announced: AnnouncedPath) -> None:
        is_free = announced.sent is None and not announced.is_refused
        if is_free and announced.version is not None and self._is_current(announced):
            self._calls.add(announced)

    def _announce_later(self, announced: AnnouncedPath, seconds: float) -> None:
        if self._is_current(announced):
            self._timers.put(announced, time.monotonic() + seconds)

    def _answered(self, call: AnnounceCall, outcome: v2_pb2.AnnounceReply | Failure) -> None:
        self._calls.end(call)
        if isinstance(outcome, Failure):
            if outcome.trouble is not Trouble.CANCELLED:
                self.state.fail(outcome)
            for announced, version in call.versions.items():
                announced.unanswered |= {version}
                self._announce(announced)
            return
        self.state.succeed()
        refusals = {refusal.index: refusal for refusal in outcome.refusals}
        retry_after = outcome.retry_after_ms / 1000
        for index, (announced, version) in enumerate(call.versions.items()):
            answer = outcome.answers[index] if index < len(outcome.answers) else v2_pb2.ANSWER_UNSPECIFIED
            if answer == v2_pb2.ACKNOWLEDGED:
                self._acknowledged(announced, version, call.epoch)
            elif answer == v2_pb2.UPLOAD:
                announced.sent = version
                self._uploads.add(announced, version)
                self._watcher.begin_upload(announced.path)
            elif answer == v2_pb2.REFUSED:
                refusal = refusals.get(index, v2_pb2.Refusal())
                failure = Failure(Trouble.REFUSED, name_of(refusal.reason), refusal.message)
                self._turned_down(announced, version, failure)
            elif announced.version != version:
                self._want(announced)
            elif retry_after:
                self._announce_later(announced, retry_after * 0.9 + jitter(retry_after * 0.4))
            else:  # not even when: of a newer server, perhaps
                announced.failures += 1
                self._announce_later(announced, retry_seconds(announced.failures))

    def _take_uploads(self, ended: list[Upload]) -> None:
        for upload in ended:
            upload.announced.sent = None
            self.uploaded_bytes += upload.sent_bytes
            self._watcher.end_upload(upload.announced.path)
            self._uploaded(upload)

    def _uploaded(self, upload: Upload) -> None:
        """Take over how an upload ended."""
        announced, version = upload.announced, upload.version
        match upload.outcome:
            case v2_pb2.UploadReply(already_stored=already_stored):
                self.state.succeed()
                if self._stuck_reasons:
                    logger.info("%s: contents are stored again", self._connection.target)
                    self._stuck_reasons.clear()
                self.uploaded += not already_stored
                self._acknowledged(announced, version, upload.epoch)
                if upload.has_grown:
                    self._watcher.look_again(announced.path, has_grown=True)
            case Changed() | Failure(reason="CONTENT_MISMATCH"):
                announced.failures += isinstance(upload.outcome, Failure)
                if announced.version == version:
                    self._watcher.look_again(announced.path, has_grown=False)
                else:
                    self._want(announced)
            case Failure(trouble=Trouble.REFUSED | Trouble.STUCK) as failure:
                self._turned_down(announced, version, failure)
            case Failure(trouble=Trouble.BUSY, pushback_seconds=pushback, reason=reason, message=message):
                announced.failures += 1
                logger.debug("%r: upload failed: %s (%s); announcing it again", announced.path, message, reason)
                seconds = retry_seconds(announced.failures, first_seconds=0.4, pushback_seconds=pushback)
                self._announce_later(announced, seconds)
            case Failure() as failure:
                announced.unanswered |= {version}
                if failure.trouble is Trouble.AWAY:
                    self.state.fail(failure)
                self._announce(announced)

    def _acknowledged(self, announced: AnnouncedPath, version: Version, epoch: int) -> None:
        if announced.acknowledge(version, is_present=epoch == self._identity.epoch):
            self._announce_later(announced, _CONFIRM_SECONDS)
        self._want(announced)
        self._tidy(announced)

    def _turned_down(self, announced: AnnouncedPath, version: Version, failure: Failure) -> None:
        """Announce this version again when something has changed; in minutes too, if the store is full or broken."""
        is_first = announced.refusal is None or announced.refusal.version != version
        wait = announced.turn_down(version, failure)
        if failure.trouble is Trouble.STUCK:
            is_first = failure.reason not in self._stuck_reasons
            self._stuck_reasons.add(failure.reason)
            self._announce_later(announced, wait)
            text = f"%r, and perhaps other files, cannot be stored: %s (%s); trying again in {wait:.0f} s"
        else:
            text = "%r was refused: %s (%s); it is not announced again until it, or the server, changes"
        logger.log(
            logging.WARNING if is_first else logging.DEBUG, text, announced.path, failure.message, failure.reason
        )
        if announced.version != version:
            self._want(announced)
