"""The file's side of a track: when it has settled, and which version it is."""

from __future__ import annotations

import heapq
import logging
import math
import time
from collections.abc import Callable
from functools import partial
from itertools import count

from kharvest.client.errors import Changed, Gone, Unreadable
from kharvest.client.files import REMOVAL, Reading, Stamp, look
from kharvest.client.inbox import Inbox
from kharvest.client.reading import Readers
from kharvest.client.tracks import Track

logger = logging.getLogger(__name__)


class Observer:
    """Looks at files, lets them settle, has them read, and tells when a path has a new version.

    A file has settled when its last change is `settle_seconds` old. One that never rests is read after
    `settle_max_seconds` as it then is, if it holds still for the reading. The harvesting thread owns it.
    """

    def __init__(
        self, inbox: Inbox, *, settle_seconds: float, settle_max_seconds: float, observed: Callable[[Track], None]
    ) -> None:
        self.max_bytes: int | None = None  # larger files are refused before they are read
        self._inbox = inbox
        self._settle = settle_seconds
        self._settle_max = settle_max_seconds
        self._hurry = math.inf
        self._observed = observed
        self._due: list[tuple[float, int, Track]] = []
        self._order = count()
        self._reading = 0
        self._readers = Readers()

    @property
    def is_reading(self) -> bool:
        """Whether files are being read, or are waiting to be: more versions will follow at once."""
        return self._reading > 0

    def touch(self, track: Track, *, written: bool = False, at_once: bool = False) -> None:
        """Look at the track's file after the quiet period, or `at_once`, because something may have changed."""
        # What happens while it is read, or before that is known here, may have come too late for the reader.
        track.suspect = track.suspect or written or (track.reading and not at_once)
        if track.settling_since is None:
            now = time.monotonic()
            track.settling_since = now
            self._look_at(track, now if at_once else now + self._settle_of(track))

    def turn(self, now: float) -> float | None:
        """Look at what is due. Returns when the next look is due."""
        while self._due and self._due[0][0] <= now:
            track = heapq.heappop(self._due)[2]
            if not track.dropped and not track.reading:
                self._look(track, now)
        return self._due[0][0] if self._due else None

    def configure(self, *, settle_seconds: float, settle_max_seconds: float) -> None:
        """Use other times from now on."""
        self._settle = settle_seconds
        self._settle_max = settle_max_seconds

    def hurry(self, seconds: float) -> None:
        """From now on wait no longer than this for a file to settle: there is no more time."""
        now = time.monotonic()
        self._hurry = seconds
        self._due = [(min(due, now + seconds), order, track) for due, order, track in self._due]
        heapq.heapify(self._due)

    def close(self) -> None:
        """Stop the reading threads; what they are at is dropped."""
        self._readers.close()

    def _look_at(self, track: Track, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._order), track))

    def _look(self, track: Track, now: float) -> None:
        try:
            stamp = self._stamp(track)
        except Unreadable as problem:
            self._rest_without(track, problem)
            return
        if stamp == track.stamp and not track.suspect and track.problem is None:
            track.settling_since = None
            return
        unsettled = self._unsettled(track, stamp)
        since = now if track.settling_since is None else track.settling_since
        settle_max = self._settle_max_of(track)
        if unsettled > 0 and now - since < settle_max:
            track.seen = stamp
            self._look_at(track, min(now + unsettled, since + settle_max))
            return
        # Read while it is younger than the quiet period, it may change again within one tick of the file system's
        # clock: then its stamp alone would not tell.
        track.suspect = unsettled > 0
        track.reading = True
        self._reading += 1
        self._readers.read(track.path, lambda outcome: self._inbox.post(partial(self._read, track, outcome)))

    def _settle_of(self, track: Track) -> float:
        own = track.rule.settle_seconds
        return min(self._settle if own is None else own, self._hurry)

    def _settle_max_of(self, track: Track) -> float:
        return min(max(self._settle_max, self._settle_of(track)), self._hurry)

    def _stamp(self, track: Track) -> Stamp:
        path = track.path
        stamp = look(path)
        if not is_unicode(path):
            raise Unreadable(path, "NOT_UTF8", "its name is not UTF-8, and could not be announced", "rename it")
        if track.rule.max_bytes is not None and stamp.size > track.rule.max_bytes:
            problem = f"{stamp.size} bytes, more than max_bytes ({track.rule.max_bytes})"
            raise Unreadable(path, "TOO_LARGE", problem, "raise max_bytes to have it harvested")
        if self.max_bytes is not None and stamp.size > self.max_bytes:
            problem = f"{stamp.size} bytes, the server accepts {self.max_bytes}"
            raise Unreadable(path, "CONTENT_TOO_LARGE", problem, "leave it out, or raise the server's limit")
        return stamp

    def _unsettled(self, track: Track, stamp: Stamp) -> float:
        """Seconds that the file should still rest; 0 or less if it has settled."""
        age = (time.time_ns() - stamp.ctime_ns) / 1e9
        if age >= 0:
            return self._settle_of(track) - age
        return 0.0 if stamp == track.seen else self._settle_of(track)  # a file server's clock is ahead of ours

    def _read(self, track: Track, outcome: Reading | Unreadable | Changed) -> None:
        self._reading -= 1
        track.reading = False
        if track.dropped:
            return
        now = time.monotonic()
        match outcome:
            case Reading(stamp=stamp, version=version):
                if track.problem is not None:
                    logger.info("%r can be read again", track.path)
                    track.problem = None
                track.stamp, track.version = stamp, version
                track.settling_since = now if track.suspect else None
                if track.suspect:
                    self._look_at(track, now + self._settle_of(track))
                self._observed(track)
            case Unreadable():
                self._rest_without(track, outcome)
            case Changed():
                since = track.settling_since
                if since is None or now - since >= self._settle_max_of(track):
                    logger.warning("%r does not rest, not even for being read; trying again and again", track.path)
                    track.settling_since = now
                self._look_at(track, now + max(self._settle_of(track), 0.01))

    def _rest_without(self, track: Track, problem: Unreadable) -> None:
        """There is nothing to read at the path now."""
        track.settling_since = None
        track.suspect = False
        is_news = track.problem is None or track.problem.reason != problem.reason
        track.problem = problem
        gone = isinstance(problem, Gone) or problem.reason == "NOT_A_FILE"
        if is_news and (not gone or not track.announced):
            logger.log(logging.INFO if problem.reason == "TOO_LARGE" else logging.WARNING, "%s", problem)
        if gone:
            track.stamp = None
            track.version = REMOVAL if track.announced else None
            self._observed(track)


def is_unicode(path: str) -> bool:
    """Whether the path is valid Unicode: bytes that are not UTF-8 came in as lone surrogates (PEP 383)."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
