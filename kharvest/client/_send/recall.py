"""What the server last had of this pod: so that what went away while no client ran is announced as removed."""

from __future__ import annotations

import logging
import time

from kharvest.client._backoff import Backoff, jitter
from kharvest.client._events import EventQueue
from kharvest.client._send.announced_path import PodIdentity
from kharvest.client._send.connection import Connection, Failure, SendEvent, Trouble
from kharvest.client._send.server_state import ServerState
from kharvest.wire import v2_pb2

logger = logging.getLogger(__name__)

_PAGE = 500
_QUERY_SECONDS = 30.0


class Recall(SendEvent):
    """Asks the server once, in pages, for the newest reference of each path of this pod. As an event: it is time to.

    The harvesting thread owns it. It asks on a connection that was just checked: a call on a lost one would silently
    make a new one.

    Attributes:
        is_complete: whether there are no more pages.
    """

    def __init__(
        self,
        connection: Connection,
        events: EventQueue,
        state: ServerState,
        identity: PodIdentity,
        spread_seconds: float,
    ) -> None:
        self.is_complete = False
        self._connection = connection
        self._timers = events.timers
        self._state = state
        self._identity = identity
        self._cursor = ""
        self._page = _PAGE
        self._is_due = False
        self._is_asking = False
        self._backoff = Backoff()
        self._timers.put(self, time.monotonic() + jitter(spread_seconds))

    def act(self) -> None:
        """It is time to ask: have the connection checked."""
        self._is_due = True
        if self._state.limits is not None:
            self._state.check()

    def connected(self) -> None:
        """The server is connected: ask now, if it is time."""
        if not self._is_due or self._is_asking or self.is_complete:
            return
        self._is_due, self._is_asking = False, True
        pod = self._identity.pod
        wanted = v2_pb2.Filter(namespace=pod.namespace, pod=pod.name, uid=pod.uid, latest=True)
        request = v2_pb2.ReferencesRequest(filter=wanted, limit=self._page, cursor=self._cursor)
        self._connection.call(self, self._connection.query.References, request, _QUERY_SECONDS)

    def answered(self, outcome: v2_pb2.ReferencesReply | Failure) -> list[str]:
        """Take over a page. Returns the paths of which the server has a version."""
        self._is_asking = False
        if isinstance(outcome, v2_pb2.ReferencesReply):
            self._backoff.succeed()
            self._cursor = outcome.next_cursor
            self.is_complete = not self._cursor
            if not self.is_complete:
                self.act()
            root = self._identity.root.rstrip("/")
            return [root + one.file.path for one in outcome.references if one.file.sha256]
        if outcome.trouble in (Trouble.REFUSED, Trouble.STUCK, Trouble.CANCELLED):
            logger.warning(
                "files that went away before the start are not announced as removed, as the server names none: %s (%s)",
                outcome.message,
                outcome.reason,
            )
            self.is_complete = True
        else:
            if outcome.reason == "RESOURCE_EXHAUSTED":  # pages with much metadata are larger than a message may be
                self._page = max(1, self._page // 4)
            self._timers.put(self, time.monotonic() + self._backoff.fail(outcome.pushback_seconds))
        return []
