"""The queue of the harvesting thread: events from other threads, and what it has to do later."""

from __future__ import annotations

import queue
import time

from kharvest.client._timers import Timers

_MAX_EVENTS = 1000
"""How many are taken before it is time to wait again."""


class Event:
    """Something that the harvesting thread has to react to: a value, or an object whose time has come."""

    __slots__ = ()


class EventQueue:
    """Any thread posts events. The harvesting thread waits for them, and takes them one by one.

    Attributes:
        timers: events that come at their time. The harvesting thread owns them.
    """

    def __init__(self) -> None:
        self.timers: Timers[Event] = Timers()
        self._posted: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._first: Event | None = None
        self._left = self._posted_left = 0
        self._now = 0.0

    def post(self, event: Event) -> None:
        """Have the harvesting thread react to an event."""
        self._posted.put(event)

    def wait(self) -> None:
        """Wait until there is an event to take."""
        due = self.timers.next
        try:
            timeout = None if due is None else max(0.0, due - time.monotonic())
            self._first = self._posted.get(timeout=timeout)
        except queue.Empty:
            self._first = None
        self._left = _MAX_EVENTS
        self._posted_left = self._posted.qsize()
        self._now = time.monotonic()

    def take(self) -> Event | None:
        """The next of the events that had come, or were due, when `wait` returned; None if there are no more.

        Posted events come first. After a number of events it is time to `wait` again, so that a question need not wait
        until every file has been looked at.
        """
        if self._first is not None:
            event, self._first = self._first, None
            return event
        if not self._left:
            return None
        self._left -= 1
        if self._posted_left:
            self._posted_left -= 1
            return self._posted.get()
        return self.timers.pop(self._now)
