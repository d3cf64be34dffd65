"""The harvesting thread: it owns everything that changes, and does one thing after the other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import TypeVar

from kharvest.client.announcing import Announcer
from kharvest.client.config import ClientConfig
from kharvest.client.connection import Connection
from kharvest.client.errors import ConfigurationError
from kharvest.client.inbox import Inbox, Mail
from kharvest.client.link import Link
from kharvest.client.observing import Observer
from kharvest.client.source import ConfigSource
from kharvest.client.status import Problem, Status
from kharvest.client.tracks import Track
from kharvest.client.watchlist import Watchlist
from kharvest.wire import v2_pb2

logger = logging.getLogger(__name__)

_FAULT_PAUSE_SECONDS = 1.0

Answer = TypeVar("Answer")


class Harvester:
    """Watches, reads, announces and uploads on a thread of its own until it is stopped.

    Its state belongs to that thread. Other threads ask by `ask`, and stop it by `stop`.
    """

    def __init__(self, config: ClientConfig, source: ConfigSource | None = None, *, watching: bool) -> None:
        self._config = config
        self._source = source
        self._inbox = Inbox()
        self._connection = Connection(config.server)
        self._link = Link(self._connection, self._inbox, self._connected)
        self._observer = Observer(
            self._inbox,
            settle_seconds=config.settle_seconds,
            settle_max_seconds=config.settle_max_seconds,
            observed=self._observed,
        )
        self._watchlist = Watchlist(
            self._inbox,
            self._observer,
            watching=watching,
            rescan_seconds=config.rescan_seconds,
            poll_seconds=config.poll_seconds,
            search_seconds=config.settle_seconds,
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
            resolved=self._watchlist.settle,
        )
        self._next_again = 0.0
        self._next_reload: float | None = None
        self._misconfigured = ""
        self._faults = 0
        self._waiters: list[tuple[list[Track], threading.Event]] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="kharvest-harvester", daemon=True)

    @property
    def link(self) -> Link:
        """For reading `heard_at` and `failure`, which are set whole."""
        return self._link

    def start(self) -> None:
        """Begin."""
        self._next_again = time.monotonic() + self._config.reannounce_seconds
        self._inbox.post(self._follow)
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
        self._watchlist.look_at_all()
        done = threading.Event()
        self._waiters.append((list(self._watchlist.tracks.values()), done))
        return done

    def stop_watching(self, seconds: float) -> None:
        """Wait for no further changes, and within these seconds not for files to settle."""
        self._watchlist.stop_watching()
        self._observer.hurry(seconds)

    def stop(self, timeout: float | None = None) -> None:
        """End everything that is under way, and the thread; wait for that at most `timeout` seconds."""
        self._inbox.post(self._stop)
        self._thread.join(timeout)

    def status(self) -> Status:
        """How things are. On the harvesting thread only."""
        tracks = self._watchlist.tracks.values()
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
            polling=self._watchlist.is_polling,
            faults=self._faults,
            problems=tuple(problem for track in tracks if (problem := _problem(track)) is not None),
            failure=None if failure is None else f"{failure.message} ({failure.reason})",
            misconfigured=self._misconfigured or None,
        )

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping:
            mail = self._inbox.take(max(0.0, due - time.monotonic()))
            try:
                due = self._turn(mail)
            except Exception:  # the outermost frame: the host program must not suffer, nor files be forgotten
                self._faults += 1
                logger.exception("unexpected error; going on. Report this as a bug of kharvest")
                self._inbox.look_at_all()
                time.sleep(_FAULT_PAUSE_SECONDS)
        self._watchlist.stop_watching()
        self._announcer.close()
        self._observer.close()
        self._connection.close()

    def _turn(self, mail: Mail) -> float:
        """Do what has come in and what is due. Returns when there is more to do."""
        while mail.work:
            mail.work.popleft()()
        if mail.look_at_all:
            self._watchlist.look_at_all()
        self._watchlist.touched(mail.touched)
        now = time.monotonic()
        if self._next_reload is not None and now >= self._next_reload:
            self._reload()
        if now >= self._next_again:
            self._next_again = now + self._config.reannounce_seconds
            self._announcer.again(self._watchlist.tracks.values(), self._config.reannounce_seconds / 4)
        dues = (
            self._watchlist.turn(now),
            self._observer.turn(now),
            self._link.turn(now),
            self._announcer.turn(now),
            self._next_reload,
            self._next_again,
        )
        self._tell_waiters()
        return min(due for due in dues if due is not None)

    def _observed(self, track: Track) -> None:
        self._announcer.want(track)
        self._watchlist.settle(track)

    def _connected(self, again: bool) -> None:
        limits = self._link.limits
        if limits is not None and limits.max_content_bytes:
            self._observer.max_bytes = limits.max_content_bytes
        if again:
            self._announcer.again(self._watchlist.tracks.values(), self._config.spread_seconds)

    def _follow(self) -> None:
        files = () if self._source is None else self._source.files
        self._watchlist.follow(self._config.all_rules(), dict.fromkeys(files, self._input_changed))

    def _input_changed(self) -> None:
        """A file that we are configured by may have changed; it shall rest before it is read."""
        if self._next_reload is None:
            self._next_reload = time.monotonic() + self._config.settle_seconds

    def _reload(self) -> None:
        """Take over what has changed in the configuration; keep the last good one while it cannot be used."""
        self._next_reload = None
        if self._source is None:
            return
        try:
            new = self._source.load()
        except ConfigurationError as error:
            if self._misconfigured != str(error):
                logger.error("%s. Going on with the last good configuration", error)  # noqa: TRY400  # no bug
            self._misconfigured = str(error)
            return
        if self._misconfigured:
            logger.info("the configuration can be used again")
            self._misconfigured = ""
        old = self._config
        if (new.server, new.namespace, new.pod, new.root) != (old.server, old.namespace, old.pod, old.root):
            logger.warning("a change of server, namespace, pod or root takes effect with the next start only")
            new = replace(new, server=old.server, namespace=old.namespace, pod=old.pod, root=old.root)
        if new != old:
            self._apply(old, new)

    def _apply(self, old: ClientConfig, new: ClientConfig) -> None:
        logger.info("the configuration has changed")
        self._config = new
        self._observer.configure(settle_seconds=new.settle_seconds, settle_max_seconds=new.settle_max_seconds)
        self._watchlist.configure(
            rescan_seconds=new.rescan_seconds, poll_seconds=new.poll_seconds, search_seconds=new.settle_seconds
        )
        self._next_again = min(self._next_again, time.monotonic() + new.reannounce_seconds)
        if new.all_rules() != old.all_rules():
            self._follow()
        if new.metadata != old.metadata:
            self._announcer.change_metadata(new.metadata, self._watchlist.tracks.values())

    def _tell_waiters(self) -> None:
        for waiter in list(self._waiters):
            remaining, done = waiter
            while remaining and (remaining[-1].is_resolved or remaining[-1].dropped):
                remaining.pop()  # looking at one in vain, and not at all, each turn
            if not remaining:
                self._waiters.remove(waiter)
                done.set()

    def _stop(self) -> None:
        self._stopping = True


def _is_refused(track: Track) -> bool:
    """Whether the server refuses it, or would: what is over its limit is not even announced."""
    return track.is_refused or (track.problem is not None and track.problem.reason == "CONTENT_TOO_LARGE")


def _problem(track: Track) -> Problem | None:
    problem = track.problem
    if problem is not None:
        is_as_wanted = problem.reason == "TOO_LARGE" or (problem.reason == "NO_SUCH_FILE" and track.announced)
        return None if is_as_wanted else Problem(track.path, problem.reason, f"{problem.problem}; {problem.remedy}")
    if track.is_refused and track.refusal is not None:
        return Problem(track.path, track.refusal.reason, track.refusal.message)
    if not track.is_resolved:
        return Problem(track.path, "UNANSWERED", "not acknowledged yet")
    return None
