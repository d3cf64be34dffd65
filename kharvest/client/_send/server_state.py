"""Whether the server can be called now, and within which limits."""

from __future__ import annotations

import logging
import time
from enum import Enum

from kharvest.client._backoff import Backoff, jitter
from kharvest.client._events import EventQueue
from kharvest.client._send.connection import Connection, Failure, SendEvent, Trouble
from kharvest.wire import v2_pb2

logger = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""How often an idle connection is checked: within this time a restart of the server is noticed."""
_FRESH_SECONDS = 1.0
_MUTE_SECONDS = 5.0
"""A server that accepts a connection and does not answer for this long is reported as away."""
_PROBE_SECONDS = 60.0
"""How long a server that was reported as away is waited for, before it is asked anew."""


class ServerDue(SendEvent, Enum):
    """What is done now and then."""

    PROBE = 1
    CHECK = 2
    RESUME = 3
    """Calls may be made again."""


class ServerState:
    """Connects, connects again, waits as the server asks, and knows its limits. The harvesting thread owns it.

    The sender passes it the results of its calls and checks.

    Attributes:
        limits: what the server accepts; None while it is away.
        failure: why the last call to it failed; None after one that did not.
        heard_at: when the server was last seen doing something for us (monotonic). May be read on any thread.
    """

    def __init__(self, connection: Connection, events: EventQueue) -> None:
        self.limits: v2_pb2.Limits | None = None
        self.failure: Failure | None = None
        self.heard_at = time.monotonic()
        self._connection = connection
        self._timers = events.timers
        self._backoff = Backoff()
        self._resume_at = 0.0
        self._is_probing = False
        self._is_checking = False
        self._checked_at = 0.0
        self._timers.put(ServerDue.PROBE, self.heard_at)

    def is_ready(self, now: float) -> bool:
        """Whether calls may be made now. If that is not known, it will be at once, and an event comes."""
        if self.limits is None or now < self._resume_at:
            return False
        if now - self._checked_at < _FRESH_SECONDS:
            return True
        self.check()
        return False

    def act(self, due: ServerDue) -> None:
        """Do what is due."""
        match due:
            case ServerDue.PROBE if self.limits is None and not self._is_probing:
                self._is_probing = True
                # The first time it fails early, so that the reason is known; after that it waits for the server.
                wait = self.failure is not None and self.failure.trouble is Trouble.AWAY
                timeout = _PROBE_SECONDS if wait else _MUTE_SECONDS
                request = v2_pb2.GetLimitsRequest()
                self._connection.call(self, self._connection.harvest.GetLimits, request, timeout, wait=wait)
            case ServerDue.CHECK if self.limits is not None:
                self.check()

    def check(self) -> None:
        """Find out whether the server is still connected.

        On a connection that was lost a call would make a new one, and the server may have forgotten everything.
        """
        self._plan_check(time.monotonic())
        if not self._is_checking:
            self._is_checking = True
            self._connection.check()

    def hear(self) -> None:
        """Note that the server does something for us. May be called on any thread: setting a float needs no lock."""
        self.heard_at = time.monotonic()

    def succeed(self) -> None:
        """A call was answered."""
        self.hear()
        self.failure = None
        self._backoff.succeed()

    def fail(self, failure: Failure) -> None:
        """A call failed for a reason that concerns all calls."""
        now = time.monotonic()
        if self.failure is None or self.failure.reason != failure.reason:
            level = logging.ERROR if failure.trouble is Trouble.REFUSED else logging.WARNING
            logger.log(level, "%s: %s (%s); trying again", self._connection.target, failure.message, failure.reason)
        self.failure = failure
        if now >= self._resume_at:  # calls that failed together count once
            self._resume_at = now + self._backoff.fail(failure.pushback_seconds)
            self._timers.put(ServerDue.RESUME, self._resume_at)
        if failure.trouble is Trouble.AWAY or failure.reason == "TOO_MANY_FILES":
            self._lose()

    def probed(self, outcome: v2_pb2.Limits | Failure) -> bool:
        """Take over the limits, or try again later. Returns whether the server is connected."""
        self._is_probing = False
        if isinstance(outcome, Failure):
            if outcome.trouble is Trouble.BUSY and outcome.reason == "DEADLINE_EXCEEDED":
                outcome = Failure(Trouble.AWAY, outcome.reason, outcome.message)
            self.fail(outcome)
            self._lose()
            return False
        if self.failure is not None:
            logger.info("%s: connected", self._connection.target)
        self.limits = outcome
        self.succeed()
        self._checked_at = time.monotonic()
        self._plan_check(self._checked_at)
        return True

    def checked(self, *, is_connected: bool) -> None:
        """Take over whether the server is connected."""
        self._is_checking = False
        if is_connected:
            self._checked_at = time.monotonic()
        elif self.limits is not None:
            logger.info("%s: the connection was lost; connecting again", self._connection.target)
            self._lose()

    def _lose(self) -> None:
        self.limits = None
        self._timers.put(ServerDue.PROBE, max(self._resume_at, time.monotonic()))

    def _plan_check(self, now: float) -> None:
        self._timers.put(ServerDue.CHECK, now + CHECK_SECONDS * 0.75 + jitter(CHECK_SECONDS / 2))
