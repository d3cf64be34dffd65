"""The harvesting thread: it owns everything that changes, and does one thing after the other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from kharvest.client.announcing import Announcer
from kharvest.client.backoff import jitter
from kharvest.client.config import ClientConfig
from kharvest.client.connection import Connection
from kharvest.client.inbox import Inbox, Mail, Touch
from kharvest.client.link import Link
from kharvest.client.lookout import Lookout
from kharvest.client.observing import Observer
from kharvest.client.status import Problem, Status
from kharvest.client.tracks import Track
from kharvest.wire import v2_pb2

logger = logging.getLogger(__name__)

_MAX_POLL_SHARE = 0.01
_FAULT_PAUSE_SECONDS = 1.0

Answer = TypeVar("Answer")


class Harvester:
    """Watches, reads, announces and uploads on a thread of its own until it is stopped.

    Its state belongs to that thread. Other threads ask by `ask`, and stop it by `stop`.
    """

    def __init__(self, config: ClientConfig, *, watching: bool) -> None:
        self._config = config
        self._inbox = Inbox()
        self._connection = Connection(config.server)
        self._lookout = Lookout(self._inbox) if watching else None
        self._tracks: dict[str, Track] = {}
        self._link = Link(self._connection, self._inbox, self._connected)
        self._observer = Observer(
            self._inbox,
            settle_seconds=config.settle_seconds,
            settle_max_seconds=config.settle_max_seconds,
            observed=lambda track: self._announcer.want(track),  # noqa: PLW0108  # it does not exist yet
        )
        self._announcer = Announcer(
            self._connection,
            self._inbox,
            self._link,
            pod=v2_pb2.Pod(namespace=config.namespace, name=config.pod),
            metadata=config.metadata,
            root=config.root,
            reread=lambda track: self._observer.touch(track, written=True),
            more_is_coming=lambda: self._observer.is_reading,
        )
        self._next_scan = self._next_poll = self._next_again = 0.0
        self._faults = 0
        self._waiters: list[tuple[set[Track], threading.Event]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="kharvest-harvester", daemon=True)

    @property
    def link(self) -> Link:
        """For reading `heard_at` and `failure`, which are set whole."""
        return self._link

    def start(self) -> None:
        """Begin."""
        self._next_again = time.monotonic() + self._config.reannounce_seconds
        for path in self._config.paths:
            self._tracks[path] = Track(path)
        self._thread.start()

    def ask(self, question: Callable[[], Answer], timeout: float | None = None) -> Answer:
        """Call `question` on the harvesting thread.

        Raises:
            TimeoutError: that thread did not get to it within the timeout.
        """
        answer: Future[Answer] = Future()

        def work() -> None:
            try:
                answer.set_result(question())
            except Exception as error:  # noqa: BLE001  # it is the asker's
                answer.set_exception(error)

        self._inbox.post(work)
        try:
            return answer.result(timeout)
        except TimeoutError:
            raise TimeoutError("the harvesting thread does not answer; look for a file system that hangs") from None

    def look_around(self) -> threading.Event:
        """Look at every path now. The event is set when all that is then seen is acknowledged or refused."""
        self._scan(time.monotonic())
        done = threading.Event()
        self._waiters.append((set(self._tracks.values()), done))
        return done

    def stop_watching(self, seconds: float) -> None:
        """Wait for no further changes, and within these seconds not for files to settle."""
        if self._lookout is not None:
            self._lookout.close()
            self._lookout = None
        self._observer.hurry(seconds)

    def stop(self, timeout: float | None = None) -> None:
        """End everything that is under way, and the thread; wait for that at most `timeout` seconds."""
        self._inbox.post(self._stop)
        self._thread.join(timeout)

    def status(self) -> Status:
        """How things are. On the harvesting thread only."""
        tracks = self._tracks.values()
        failure = self._link.failure
        return Status(
            connected=self._link.limits is not None,
            server=self._config.server,
            watched=len(tracks),
            acknowledged=sum(track.version is not None and track.is_acknowledged for track in tracks),
            pending=sum(not track.is_resolved for track in tracks),
            announced=sum(track.announced for track in tracks),
            refused=sum(_is_refused(track) for track in tracks),
            uploaded=self._announcer.uploaded,
            uploaded_bytes=self._announcer.uploaded_bytes,
            polling=self._lookout is not None and self._lookout.is_polling,
            faults=self._faults,
            problems=tuple(problem for track in tracks if (problem := _problem(track)) is not None),
            failure=None if failure is None else f"{failure.message} ({failure.reason})",
        )

    def _run(self) -> None:
        due: float | None = 0.0
        while not self._stopping:
            mail = self._inbox.take(None if due is None else max(0.0, due - time.monotonic()))
            try:
                due = self._turn(mail)
            except Exception:  # the outermost frame: the host program must not suffer, nor files be forgotten
                self._faults += 1
                logger.exception("unexpected error; going on. Report this as a bug of kharvest")
                self._inbox.look_at_all()
                time.sleep(_FAULT_PAUSE_SECONDS)
        if self._lookout is not None:
            self._lookout.close()
        self._announcer.close()
        self._observer.close()
        self._connection.close()

    def _turn(self, mail: Mail) -> float | None:
        """Do what has come in and what is due. Returns when there is more to do."""
        now = time.monotonic()
        while mail.work:
            mail.work.popleft()()
        if mail.look_at_all or now >= self._next_scan:
            self._scan(now)
        elif mail.touched:
            self._look_where_touched(mail)
        dues = [self._observer.turn(now), self._link.turn(now), self._announcer.turn(now), self._next_scan]
        if self._lookout is not None and self._lookout.is_polling:
            if now >= self._next_poll:
                self._poll(now)
            dues.append(self._next_poll)
        if now >= self._next_again:
            self._next_again = now + self._config.reannounce_seconds
            self._announcer.again(self._tracks.values(), within_seconds=self._config.reannounce_seconds / 4)
        dues.append(self._next_again)
        self._tell_waiters()
        return min(due for due in dues if due is not None)

    def _scan(self, now: float) -> None:
        """Look at everything."""
        self._next_scan = now + self._config.rescan_seconds * 0.9 + jitter(self._config.rescan_seconds * 0.2)
        if self._lookout is not None:
            self._lookout.place(self._tracks.values())
            self._lookout.tidy()
        for track in self._tracks.values():
            self._observer.touch(track, at_once=True)

    def _poll(self, now: float) -> None:
        assert self._lookout is not None  # noqa: S101  # for the type checker
        tracks = self._lookout.polled()
        self._lookout.place(tracks)
        for track in tracks:
            self._observer.touch(track, at_once=True)
        cost = time.monotonic() - now
        self._next_poll = now + max(self._config.poll_seconds, cost / _MAX_POLL_SHARE)

    def _look_where_touched(self, mail: Mail) -> None:
        if self._lookout is None:
            return
        moved: set[Track] = set()
        for place, touch in mail.touched.items():
            for track in self._lookout.at(place):
                self._observer.touch(track, written=Touch.BYTES in touch)
                if Touch.NAME in touch:
                    moved.add(track)
        if moved:
            self._lookout.place(moved)

    def _connected(self, again: bool) -> None:  # a callback's only argument
        limits = self._link.limits
        if limits is not None and limits.max_content_bytes:
            self._observer.max_bytes = limits.max_content_bytes
        if again:
            self._announcer.again(self._tracks.values(), within_seconds=self._config.spread_seconds)

    def _tell_waiters(self) -> None:
        for waiter in list(self._waiters):
            remaining, done = waiter
            remaining -= {track for track in remaining if track.is_resolved}
            if not remaining:
                self._waiters.remove(waiter)
                done.set()

    def _stop(self) -> None:
        self._stopping = True


def _is_refused(track: Track) -> bool:
    """Whether the server refuses it, or would: what is over its limit is not even announced."""
    return track.is_refused or (track.problem is not None and track.problem.reason == "CONTENT_TOO_LARGE")


def _problem(track: Track) -> Problem | None:
    if track.problem is not None:
        return Problem(track.path, track.problem.reason, f"{track.problem.problem}; {track.problem.remedy}")
    if track.is_refused and track.refusal is not None:
        return Problem(track.path, track.refusal.reason, track.refusal.message)
    if not track.is_resolved:
        return Problem(track.path, "UNANSWERED", "not acknowledged yet")
    return None
