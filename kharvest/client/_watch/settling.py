"""When a file has settled, and which version it then is."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass

from kharvest.client._config.client_config import ClientConfig
from kharvest.client._errors import Changed, Gone, Unreadable
from kharvest.client._events import EventQueue
from kharvest.client._threads import Workers
from kharvest.client._watch.changes import WatchEvent
from kharvest.client._watch.content import Reading, ReadLimits, Stamp, look, read_version
from kharvest.client._watch.files import WatchedFile, not_unicode
from kharvest.client._watch.location import Location

logger = logging.getLogger(__name__)

_LEAST_WAIT_SECONDS = 0.01
_READERS = 2
"""Threads that read: one may be busy with a core file for seconds while the other reads what is small."""


@dataclass(frozen=True, slots=True)
class ReadEnded(WatchEvent):
    """A file was read.

    Attributes:
        cost_seconds: the processor time that it took.
        is_restless: whether it was read though it did not rest.
        is_rehash: whether it was at rest, and was read again to be sure.
    """

    file: WatchedFile
    outcome: Reading | Unreadable | Changed
    cost_seconds: float
    is_restless: bool
    is_rehash: bool


class Settler:
    """Looks at files, lets them settle, and has them read. The harvesting thread owns it.

    A file has settled when its last change is `settle_seconds` old. One that never rests is read after
    `settle_max_seconds` as it then is; it may grow meanwhile.

    Attributes:
        max_content_bytes: what the server accepts; larger files are refused before they are read. None if that is not
            known.
    """

    def __init__(self, events: EventQueue, config: ClientConfig) -> None:
        self.max_content_bytes: int | None = None
        self._timers = events.timers
        self._config = config
        self._hurry = math.inf
        self._reading = 0
        self._events = events
        self._readers = Workers("kharvest-reader", _READERS)

    @property
    def is_reading(self) -> bool:
        """Whether files are being read, or wait for a thread: more versions will follow at once."""
        return self._reading > 0

    def configure(self, config: ClientConfig) -> None:
        """Use other times and limits from now on."""
        self._config = config

    def touch(self, file: WatchedFile, *, written: bool = False, at_once: bool = False) -> None:
        """Look at the file after the quiet period, or `at_once`, because something may have changed."""
        # What happens while it is read, or before that is known here, may have come too late for the reader.
        file.is_suspect = file.is_suspect or written or (file.is_reading and not at_once)
        if file.settling_since is None:
            now = time.monotonic()
            file.settling_since = now
            self._timers.put(file, now if at_once else now + self._settle_of(file))

    def touch_sent(self, file: WatchedFile, *, has_grown: bool) -> None:
        """Look at the file again, because it was not as announced when it was sent, or `has_grown` since."""
        if has_grown:
            now = time.monotonic()
            if file.growing_since is None:
                file.growing_since = now
            file.is_restless = now - file.growing_since >= self._settle_max_of(file)
        self.touch(file, written=True)

    def rehash(self, file: WatchedFile) -> bool:
        """Read a file at rest again, whatever its times say. Returns whether that is begun."""
        if file.is_dropped or not file.is_at_rest or file.is_restless or file.is_uploading or file.reading is None:
            return False  # it is read anyhow, or there is nothing to read
        self._read(file, is_growing=False, is_restless=False, is_rehash=True)
        return True

    def look(self, file: WatchedFile) -> bool:
        """Look at a file that it is time to look at. Returns whether there is none at its path."""
        if file.is_dropped or file.is_reading:
            return False
        now = time.monotonic()
        try:
            stamp = self._stamp(file)
        except Unreadable as problem:
            return self._rest_without(file, problem)
        if stamp == file.stamp and not file.is_suspect and file.problem is None:
            file.settling_since = file.growing_since = None
            file.is_restless = False
            return False
        unsettled = self._unsettled(file, stamp)
        since = now if file.settling_since is None else file.settling_since
        settle_max = self._settle_max_of(file)
        if unsettled > 0 and now - since < settle_max:
            file.seen = stamp
            self._timers.put(file, min(now + unsettled, since + settle_max))
        elif file.is_uploading and _has_grown(file, stamp):
            # A newer version would end the upload of this one, and so would every next one.
            self._look_again(file, now)
        else:
            # Read while it is younger than the quiet period, it may change again within one tick of the file system's
            # clock: then its stamp alone would not show it.
            file.is_suspect = unsettled > 0
            self._read(file, is_growing=now - since >= settle_max, is_restless=unsettled > 0)
        return False

    def finish(self, ended: ReadEnded) -> bool:
        """Take over what was read of a file. Returns whether there is something to report."""
        file = ended.file
        self._reading -= 1
        file.is_reading = False
        if file.is_dropped:
            return False
        now = time.monotonic()
        match ended.outcome:
            case Reading() as reading:
                if file.problem is not None:
                    logger.info("%r can be read again", file.path)
                    file.problem = None
                file.reading = reading
                file.is_restless = ended.is_restless or reading.is_beginning
                file.is_suspect = file.is_suspect or reading.is_beginning
                file.settling_since = now if file.is_suspect else None
                if file.is_suspect:
                    self._timers.put(file, now + self._settle_of(file))
                return True
            case Unreadable() as problem:
                return self._rest_without(file, problem)
            case Changed():
                since = file.settling_since
                if ended.is_rehash:
                    file.is_suspect = True
                    file.settling_since = now
                elif since is None or now - since >= self._settle_max_of(file):
                    logger.warning("%r changes each time that it is read; trying again", file.path)
                    file.settling_since = now
                self._look_again(file, now)
        return False

    def hurry(self, seconds: float, files: Iterable[WatchedFile]) -> None:
        """From now on wait no longer than this for a file to settle: there is no more time."""
        now = time.monotonic()
        self._hurry = seconds
        for file in files:
            if self._timers.time_of(file) is not None:
                self._timers.put_earlier(file, now + seconds)

    def close(self) -> None:
        """Stop the reading threads; what they read is dropped."""
        self._readers.close()

    def _look_again(self, file: WatchedFile, now: float) -> None:
        self._timers.put(file, now + max(self._settle_of(file), _LEAST_WAIT_SECONDS))

    def _read(self, file: WatchedFile, *, is_growing: bool, is_restless: bool, is_rehash: bool = False) -> None:
        file.is_reading = True
        self._reading += 1
        most = min((one for one in (file.rule.max_bytes, self.max_content_bytes) if one is not None), default=None)
        limits = ReadLimits(most, self._config.max_hole_bytes)
        location = file.location  # now: other threads read nothing of a watched file

        def read() -> None:
            started = time.thread_time()
            outcome = self._outcome(location, limits, is_growing=is_growing)
            self._events.post(ReadEnded(file, outcome, time.thread_time() - started, is_restless, is_rehash))

        self._readers.do(read)

    def _outcome(self, location: Location, limits: ReadLimits, *, is_growing: bool) -> Reading | Unreadable | Changed:
        """Read, on a reader's thread. An error keeps this frame alive: so it has no hold of the file."""
        try:
            return read_version(location, self._readers.stopped.is_set, limits, is_growing=is_growing)
        except (Unreadable, Changed) as problem:
            return problem
        except Exception as error:  # the outermost frame of this thread: it is reported with the path
            logger.debug("reading %r failed", location.path, exc_info=True)
            return Unreadable(location.path, "IO_ERROR", repr(error), "report this as a bug of kharvest")

    def _settle_of(self, file: WatchedFile) -> float:
        own = file.rule.settle_seconds
        return min(self._config.settle_seconds if own is None else own, self._hurry)

    def _settle_max_of(self, file: WatchedFile) -> float:
        return min(max(self._config.settle_max_seconds, self._settle_of(file)), self._hurry)

    def _stamp(self, file: WatchedFile) -> Stamp:
        path = file.path
        stamp = look(file.location, file.stamp)
        problem_of_name = not_unicode(path)
        if problem_of_name is not None:
            raise problem_of_name
        if file.rule.max_bytes is not None and stamp.size > file.rule.max_bytes:
            problem = f"{stamp.size} bytes, more than max_bytes ({file.rule.max_bytes})"
            raise Unreadable(path, "TOO_LARGE", problem, "raise max_bytes to have it harvested")
        if self.max_content_bytes is not None and stamp.size > self.max_content_bytes:
            problem = f"{stamp.size} bytes, the server accepts {self.max_content_bytes}"
            raise Unreadable(path, "CONTENT_TOO_LARGE", problem, "leave it out, or raise the server's limit")
        return stamp

    def _unsettled(self, file: WatchedFile, stamp: Stamp) -> float:
        """Seconds that the file should still rest; 0 or less if it has settled."""
        age = (time.time_ns() - stamp.ctime_ns) / 1e9
        if age >= 0:
            return self._settle_of(file) - age
        return 0.0 if stamp == file.seen else self._settle_of(file)  # a file server's clock is ahead of ours

    def _rest_without(self, file: WatchedFile, problem: Unreadable) -> bool:
        """Note that the path cannot be read now. Returns whether no file is there."""
        file.settling_since = None
        file.is_suspect = file.is_restless = False
        is_new = file.problem is None or file.problem.reason != problem.reason
        file.problem = problem
        is_gone = isinstance(problem, Gone) or problem.reason == "NOT_A_FILE"
        if is_new and not (is_gone and file.reading is not None):
            level = logging.INFO if problem.reason == "TOO_LARGE" else logging.WARNING
            # What a glob has found and is gone again was temporary.
            logger.log(logging.DEBUG if isinstance(problem, Gone) and not file.rule.is_path else level, "%s", problem)
        if is_gone:
            file.reading = None
        return is_gone


def _has_grown(file: WatchedFile, stamp: Stamp) -> bool:
    was = file.stamp
    return was is not None and (was.device, was.inode) == (stamp.device, stamp.inode) and was.size < stamp.size
