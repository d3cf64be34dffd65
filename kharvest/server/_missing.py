"""The contents that the store lacks: since when, who was asked for each, and which pods did not deliver."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum

from kharvest.server._config import ServerConfig
from kharvest.spi import Pod

PATIENCE_RATE = 1024 * 1024
"""Bytes a second at which a content should arrive: a slower one is asked of another pod as well, if there is one."""
FAILURES_BEFORE_SEVERAL = 2
SEVERAL = 3
"""So many pods are asked at once for a content that so many pods have failed to deliver: moving it twice is better than
never having it."""
MOST_ASKED = 8
FIRST_REST_SECONDS = 10.0
LONGEST_REST_SECONDS = 600.0
MOST_REMEMBERED = 10_000
"""Contents, and pods, of which something is remembered that only helps."""


class Phase(Enum):
    """How far an election has come."""

    CLAIMING = "claiming"
    ASKED = "asked"
    UPLOADING = "uploading"
    ELSEWHERE = "elsewhere"


class Election:
    """One pod that is to upload one content, or another server that has one do so."""

    __slots__ = ("ask_seconds", "is_claimed", "key", "path", "phase", "pod")

    def __init__(self, key: bytes, pod: Pod, path: str, ask_seconds: float) -> None:
        self.key = key
        self.pod = pod
        self.path = path
        self.ask_seconds = ask_seconds
        self.phase = Phase.CLAIMING
        self.is_claimed = False  # whether there may be a claim in the store for it


@dataclass(slots=True, eq=False)
class MissingContent:
    """A content that the store lacks."""

    since: float
    failures: int = 0
    elections: list[Election] = field(default_factory=list)
    waiting: dict[asyncio.Event, Pod] = field(default_factory=dict)

    def may_ask(self, now: float, size: int, config: ServerConfig) -> bool:
        """Whether one more pod may be asked, which says that the content has `size` bytes."""
        patience = config.patience_seconds + size / PATIENCE_RATE
        several = SEVERAL if self.failures >= FAILURES_BEFORE_SEVERAL else 1
        return len(self.elections) < min(MOST_ASKED, several + int((now - self.since) / patience))

    @property
    def is_idle(self) -> bool:
        """Whether nobody is asked for it and nobody waits."""
        return not self.elections and not self.waiting


class MissingContents:
    """All contents that the store is known to lack, by MD5. Those that nobody waits for are forgotten in time."""

    def __init__(self) -> None:
        self._missing: OrderedDict[bytes, MissingContent] = OrderedDict()

    def get(self, key: bytes) -> MissingContent | None:
        """The content with this MD5, if anybody missed it lately."""
        return self._missing.get(key)

    def add(self, key: bytes, now: float) -> MissingContent:
        """The content with this MD5, missing from now on if it was not before."""
        content = self._missing.get(key)
        if content is None:
            content = self._missing[key] = MissingContent(now)
            self._forget()
        return content

    def arrived(self, key: bytes) -> None:
        """The content is there."""
        self._missing.pop(key, None)

    def _forget(self) -> None:
        """Forget the oldest that nobody waits for, a few at a time."""
        for _ in range(2):
            if len(self._missing) <= MOST_REMEMBERED:
                return
            key, content = self._missing.popitem(last=False)
            if not content.is_idle:
                self._missing[key] = content


class RestingPods:
    """Pods that did not deliver, each for longer than the time before: others are asked first."""

    def __init__(self) -> None:
        self._until: OrderedDict[Pod, tuple[int, float]] = OrderedDict()

    def failed(self, pod: Pod, now: float) -> None:
        """The pod was asked for a content and did not deliver it."""
        times = self._until.pop(pod, (0, 0.0))[0]
        seconds = min(FIRST_REST_SECONDS * 2.0**times, LONGEST_REST_SECONDS)
        self._until[pod] = (min(times + 1, 16), now + seconds)
        if len(self._until) > MOST_REMEMBERED:
            self._until.popitem(last=False)

    def delivered(self, pod: Pod) -> None:
        """The pod delivered: what was before counts no more."""
        self._until.pop(pod, None)

    def rests(self, pod: Pod, now: float) -> bool:
        """Whether others should be asked instead."""
        entry = self._until.get(pod)
        return entry is not None and now < entry[1]
