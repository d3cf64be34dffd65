"""Whether the server can be talked to now."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial

from kharvest.client.backoff import Backoff, jitter
from kharvest.client.connection import Connection, Failure, Trouble
from kharvest.client.inbox import Inbox
from kharvest.wire import v2_pb2

logger = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""How often an idle connection is checked: within this time a restart of the server is noticed."""
_FRESH_SECONDS = 1.0


class Link:
    """Connects, connects again, waits as the server asks, and knows its limits. The harvesting thread owns it.

    Attributes:
        limits: what the server accepts; None while it is away.
        failure: why the last call to it failed; None after one that did not.
        heard_at: when the server was last seen doing something for us (monotonic).
    """

    def __init__(self, connection: Connection, inbox: Inbox, connected: Callable[[bool], None]) -> None:
        self.limits: v2_pb2.Limits | None = None
        self.failure: Failure | None = None
        self.heard_at = time.monotonic()
        self._connection = connection
        self._inbox = inbox
        self._connected = connected
        self._backoff = Backoff()
        self._resume_at = 0.0
        self._probing = False
        self._checking = False
        self._checked_at = 0.0
        self._next_check = 0.0
        self._was_up = False

    def turn(self, now: float) -> float | None:
        """Do what is due. Returns when something will be."""
        if self.limits is None:
            if not self._probing and now >= self._resume_at:
                self._probe()
            return None if self._probing else self._resume_at
        if now >= self._next_check:
            self._check(now)
        return max(self._resume_at, now) if self._resume_at > now else self._next_check

    def is_ready(self, now: float) -> bool:
        """Whether calls may be made now. If it is not known, it will be at once, and the inbox wakes the thread."""
        if self.limits is None or now < self._resume_at:
            return False
        if now - self._checked_at < _FRESH_SECONDS:
            return True
        self._check(now)
        return False

    def succeed(self) -> None:
        """A call was answered."""
        self.heard_at = time.monotonic()
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
        if failure.trouble is Trouble.AWAY or failure.reason == "TOO_MANY_FILES":
            self.limits = None

    def _probe(self) -> None:
        self._probing = True
        # The first time it shall say what is wrong; after that it may as well wait until nothing is.
        wait = self.failure is not None and self.failure.trouble is Trouble.AWAY
        self._connection.limits(lambda outcome: self._inbox.post(partial(self._probed, outcome)), wait=wait)

    def _probed(self, outcome: v2_pb2.Limits | Failure) -> None:
        self._probing = False
        if isinstance(outcome, Failure):
            if outcome.trouble is Trouble.BUSY and outcome.reason == "DEADLINE_EXCEEDED":
                outcome = Failure(Trouble.AWAY, outcome.reason, outcome.message)
            self.fail(outcome)
            return
        now = time.monotonic()
        if self.failure is not None:
            logger.info("%s: connected", self._connection.target)
        self.limits = outcome
        self.succeed()
        self._checked_at = now
        self._plan_check(now)
        self._connected(self._was_up)
        self._was_up = True

    def _check(self, now: float) -> None:
        self._plan_check(now)
        if not self._checking:
            self._checking = True
            self._connection.ask_whether_connected(lambda state: self._inbox.post(partial(self._checked, state)))

    def _plan_check(self, now: float) -> None:
        self._next_check = now + CHECK_SECONDS * 0.75 + jitter(CHECK_SECONDS / 2)

    def _checked(self, is_connected: bool) -> None:  # a callback's only argument
        self._checking = False
        if is_connected:
            self._checked_at = time.monotonic()
        elif self.limits is not None:
            logger.info("%s: the connection was lost; connecting again", self._connection.target)
            self.limits = None
