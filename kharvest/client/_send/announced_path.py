"""What is announced of a path, and what the server has said of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from kharvest.client._backoff import doubled, jittered
from kharvest.client._send.connection import Failure, SendEvent, Trouble
from kharvest.client._watch.content import REMOVAL, Reading, Version
from kharvest.wire import v2_pb2

_REFUSED_SECONDS = 60.0
"""When to try a refused version again at the earliest; twice as long after each further refusal."""
_MAX_REFUSED_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """Who announces: the pod, and its metadata, which have an epoch that grows whenever they change.

    `root` stands for `/` where the files are at home: they are announced without it.
    """

    pod: v2_pb2.Pod
    metadata: Mapping[str, str]
    root: str
    epoch: int = 0

    def file(self, path: str, version: Version) -> v2_pb2.File:
        """A version of a path, as it is announced."""
        announced = path[len(self.root.rstrip("/")) :]
        return v2_pb2.File(path=announced, md5=version.md5, sha256=version.sha256, size=version.size)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A version that the server will not have, and why.

    Attributes:
        version: the version.
        reason: the name of a wire `Reason`.
        message: a message for people.
        retry_at: when it may be tried again at the earliest (monotonic).
        count: how many times in a row.
        is_lifted: whether it is to be announced again all the same, after a while.
    """

    version: Version
    reason: str
    message: str
    retry_at: float
    count: int = 1
    is_lifted: bool = False


@dataclass(slots=True, eq=False)
class AnnouncedPath(SendEvent):
    """What the server is to know of a path, and what it knows. As an event: it is time to announce it.

    The sending room owns it, and nothing outside changes it.

    Attributes:
        path: the path.
        reading: what was last read there; None before the first time, and when nothing is there.
        version: the newest version to announce; None before the first.
        is_watched: whether the path is still watched.
        sent: the version in the call under way.
        acknowledged: the last version that was acknowledged with the present metadata.
        unanswered: versions whose call ended without an answer: they may have been recorded, or yet be.
        refusal: the last refusal.
        failures: how many times in a row its upload failed, or its announcement was not answered for good.
        is_known: whether the server may have a version of the path.
    """

    path: str
    reading: Reading | None = None
    version: Version | None = None
    is_watched: bool = True
    sent: Version | None = None
    acknowledged: Version | None = None
    unanswered: frozenset[Version] = frozenset()
    refusal: Refusal | None = None
    failures: int = 0
    is_known: bool = False

    def observe(self, reading: Reading | None, *, is_watched: bool) -> None:
        """Take over what the path holds now."""
        self.reading = reading
        self.is_watched = is_watched
        if reading is not None:
            self.version = reading.version
        else:
            self.version = REMOVAL if self.is_known else None

    def acknowledge(self, version: Version, *, is_present: bool) -> bool:
        """Take over that a version is durable, with the metadata that `is_present`.

        Returns:
            Whether another one, of a call that was lost, may yet be recorded after this one.
        """
        self.failures = 0
        self.refusal = None
        if is_present:
            self.acknowledged = version
        others, self.unanswered = self.unanswered - {version}, frozenset()
        return bool(others)

    def turn_down(self, version: Version, failure: Failure) -> float:
        """Take over that a version was refused, or that the store is full or broken.

        Returns:
            After how many seconds it may be tried again.
        """
        before = self.refusal
        count = 1 if before is None or before.version != version else before.count + 1
        wait = doubled(count, _REFUSED_SECONDS, _MAX_REFUSED_SECONDS)
        is_stuck = failure.trouble is Trouble.STUCK
        retry_at = time.monotonic() + (_REFUSED_SECONDS if is_stuck else wait)
        self.refusal = Refusal(version, failure.reason, failure.message, retry_at, count, is_lifted=is_stuck)
        self.failures = 0
        return jittered(max(wait, failure.pushback_seconds or 0.0))

    @property
    def is_acknowledged(self) -> bool:
        """Whether the newest version is acknowledged, or there is none to acknowledge."""
        return self.version == self.acknowledged

    @property
    def is_turned_down(self) -> bool:
        """Whether the newest version was refused, be it that it is tried again in minutes."""
        return self.refusal is not None and self.refusal.version == self.version

    @property
    def is_refused(self) -> bool:
        """Whether the newest version was refused, and is not announced again."""
        return self.is_turned_down and self.refusal is not None and not self.refusal.is_lifted

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do until the file changes."""
        return self.is_acknowledged or self.is_refused
