"""The harvesting thread: it joins the rooms, owns everything that changes, and does one thing after the other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from enum import Enum
from itertools import takewhile
from typing import Any, TypeVar

from kharvest.client._config.client_config import ClientConfig
from kharvest.client._config.loading import ConfigSource
from kharvest.client._errors import ConfigurationError
from kharvest.client._events import Event, EventQueue
from kharvest.client._send.connection import Failure, SendEvent
from kharvest.client._send.sender import Sender
from kharvest.client._status import Status, status_of
from kharvest.client._threads import wait_until
from kharvest.client._watch.changes import WatchEvent
from kharvest.client._watch.files import ConfigurationDue, Observed, Recalled, Report, Unwatched
from kharvest.client._watch.watcher import Watcher

logger = logging.getLogger(__name__)

_FAULT_PAUSE_SECONDS = 1.0
_STOP_SECONDS = 5.0
_MAX_FAULTY_TURNS = 3
"""In a row. A fault by itself is made up for by the next turn; when one follows another, nothing gets done."""
_FIXED = ("server", "proxy", "namespace", "pod", "uid", "root")
"""Settings that stay as they are while the client runs."""

Answer = TypeVar("Answer")


class HarvestDue(Event, Enum):
    """What is done at its time."""

    FOLLOW = 1
    ANNOUNCE_ALL = 2
    RECOVER = 3


class _Question(Event):
    """Something that another thread asks."""

    def __init__(self, question: Callable[[], Any]) -> None:
        self.answer: Future[Any] = Future()
        self.is_answered = threading.Event()
        self._question = question

    def ask(self) -> None:
        """Called on the harvesting thread."""
        try:
            self.answer.set_result(self._question())
        except Exception as error:  # noqa: BLE001  # it is the asker's
            self.answer.set_exception(error)
        self.is_answered.set()


class Harvester:
    """Watches, reads, announces and uploads on a thread of its own until it is stopped.

    Its state belongs to that thread. Other threads ask by `ask`, and stop it by `stop`.
    """

    def __init__(self, config: ClientConfig, source: ConfigSource | None = None, *, watching: bool) -> None:
        self._config = config
        self._source = source
        self._watching = watching
        self._events = EventQueue()
        self._watcher = Watcher(self._events, config, watching=watching)
        spread_seconds = config.spread_seconds if watching else 0.0
        self._sender = Sender(self._events, config, self._watcher, spread_seconds=spread_seconds)
        self._misconfigured = ""
        self._faults = 0
        self._faulty_turns = 0  # the last ones, in a row
        self._waiting: dict[threading.Event, list[str]] = {}  # the paths that are waited for
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="kharvest-harvester", daemon=True)

    @property
    def failure(self) -> Failure | None:
        """Why the last call to the server failed. May be read on any thread."""
        return self._sender.state.failure

    @property
    def heard_at(self) -> float:
        """When the server was last seen doing something for us (monotonic). May be read on any thread."""
        return self._sender.state.heard_at

    @property
    def is_reading(self) -> bool:
        """Whether files are being read. May be read on any thread."""
        return self._watcher.is_reading

    def start(self) -> None:
        """Begin."""
        self._events.timers.put(HarvestDue.ANNOUNCE_ALL, time.monotonic() + self._config.reannounce_seconds)
        self._events.post(HarvestDue.FOLLOW)  # before any question
        self._thread.start()

    def ask(self, question: Callable[[], Answer], timeout: float | None = None) -> Answer:
        """Call `question` on the harvesting thread.

        Raises:
            TimeoutError: that thread did not get to it within the timeout.
        """
        asked = _Question(question)
        self._events.post(asked)
        if not wait_until(asked.is_answered.wait, timeout):
            raise TimeoutError("the harvesting thread does not answer; check for a file system that hangs")
        answer: Answer = asked.answer.result()
        return answer

    def look_around(self) -> threading.Event:
        """Look at every path now. The event is set when all that is then seen is acknowledged or refused.

        Who does not wait for it any more calls `withdraw`.
        """
        self._watcher.look_around()
        done = threading.Event()
        self._waiting[done] = list(dict.fromkeys((*self._watcher.files, *self._sender.paths)))
        return done

    def withdraw(self, done: threading.Event) -> None:
        """Forget an event of `look_around`. May be called on any thread."""
        self._events.post(_Question(lambda: self._waiting.pop(done, None)))

    def stop_watching(self, seconds: float) -> None:
        """Wait for no further changes, and at most these seconds for files to settle."""
        self._watcher.stop_watching(seconds)

    def stop(self) -> None:
        """End everything that is under way, and the thread; one that a file system blocks is waited for 5 s."""

        def stop() -> None:
            self._is_stopping = True

        self._events.post(_Question(stop))
        wait_until(self._has_ended, _STOP_SECONDS)

    def status(self) -> Status:
        """How things are. On the harvesting thread only."""
        return status_of(
            self._watcher,
            self._sender,
            watching=self._watching,
            server=self._config.server,
            faults=self._faults,
            ready=self._faulty_turns < _MAX_FAULTY_TURNS,
            misconfigured=self._misconfigured,
        )

    def _has_ended(self, timeout: float) -> bool:
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                for event in takewhile(lambda _: not self._is_stopping, self._events.due()):
                    self._handle(event)
                self._exchange()
                self._faulty_turns = 0
            except Exception:  # the outermost frame: the host program must not suffer, nor files be forgotten
                self._faults += 1
                self._faulty_turns += 1
                logger.exception("unexpected error; going on. Report this as a bug of kharvest")
                self._events.timers.put(HarvestDue.RECOVER, time.monotonic())
                time.sleep(_FAULT_PAUSE_SECONDS)
        self._watcher.stop_watching()
        self._sender.close()
        self._watcher.close()

    def _handle(self, event: Event) -> None:
        match event:
            case WatchEvent():
                self._watcher.handle(event)
            case SendEvent():
                self._sender.handle(event)
            case _Question():
                event.ask()
            case HarvestDue.FOLLOW:
                self._follow()
            case ConfigurationDue.RELOAD:
                self._reload()
            case HarvestDue.RECOVER:
                self._watcher.recover()
            case HarvestDue.ANNOUNCE_ALL:
                self._events.timers.put(event, time.monotonic() + self._config.reannounce_seconds)
                self._sender.announce_all(self._config.reannounce_seconds / 4)

    def _exchange(self) -> None:
        """Bring the sender what the watcher reports, and make the calls that can be made."""
        for report in self._watcher.take_reports():
            self._take_report(report)
        self._sender.turn(more_is_coming=self._watcher.is_reading)
        self._tell_waiting()

    def _take_report(self, report: Report) -> None:
        match report:
            case Observed():
                self._sender.observe(report.path, report.reading, is_watched=report.is_watched)
            case Unwatched():
                self._sender.forget(report.path)
            case Recalled():
                self._sender.recall(report.path)
                for paths in self._waiting.values():
                    paths.append(report.path)

    def _follow(self) -> None:
        self._watcher.follow(self._config, () if self._source is None else self._source.files)

    def _reload(self) -> None:
        """Take over what has changed in the configuration; keep the last good one while it cannot be used."""
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
        fixed = {name: getattr(self._config, name) for name in _FIXED}
        if any(getattr(new, name) != value for name, value in fixed.items()):
            logger.warning("a change of %s or %s takes effect with the next start", ", ".join(_FIXED[:-1]), _FIXED[-1])
            new = replace(new, **fixed)
        if new != self._config:
            self._apply(new)

    def _apply(self, new: ClientConfig) -> None:
        logger.info("the configuration has changed")
        old, self._config = self._config, new
        self._watcher.configure(new)
        self._sender.configure(new)
        self._events.timers.put_earlier(HarvestDue.ANNOUNCE_ALL, time.monotonic() + new.reannounce_seconds)
        if new.all_rules() != old.all_rules():
            self._follow()

    def _tell_waiting(self) -> None:
        if not (self._watching or self._sender.has_recalled):
            return  # there may be removals yet, and there is no later turn for them
        for done, paths in list(self._waiting.items()):
            while paths and self._is_done(paths[-1]):
                paths.pop()  # looking at one in vain, and not at all, each turn
            if not paths:
                del self._waiting[done]
                done.set()

    def _is_done(self, path: str) -> bool:
        """Whether there is nothing to wait for. Harvesting once does not wait for a store to have room again."""
        file, announced = self._watcher.files.get(path), self._sender.paths.get(path)
        is_sent = announced is None or announced.is_done or (not self._watching and announced.is_turned_down)
        return is_sent and (file is None or file.is_at_rest)
