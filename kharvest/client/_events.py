"""The queue of the harvesting thread: events from other threads, and what it has to do later."""

from __future__ import annotations

import heapq
import queue
import time
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Generic, TypeVar

_MAX_EVENTS = 1000
"""How many are taken before it is time to wait again."""
_MIN_HEAP = 64

T = TypeVar("T", bound=Hashable)


class Timers(Generic[T]):
    """Things, each with one time (monotonic). Takes memory for what is in it, not for what was.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._entries: dict[T, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, T]] = []  # with entries that were replaced or discarded since
        self._order = count()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, thing: T, time: float) -> None:
        """Set the time of a thing, instead of the time that it had."""
        entry = (time, next(self._order))
        self._entries[thing] = entry
        heapq.heappush(self._heap, (*entry, thing))
        self._tidy()

    def put_earlier(self, thing: T, time: float) -> None:
        """Set the time of a thing, unless it has an earlier one."""
        planned = self.time_of(thing)
        if planned is None or time < planned:
            self.put(thing, time)

    def discard(self, thing: T) -> None:
        """Forget the thing's time."""
        self._entries.pop(thing, None)
        self._tidy()

    def time_of(self, thing: T) -> float | None:
        """The time of a thing; None if it has none."""
        entry = self._entries.get(thing)
        return None if entry is None else entry[0]

    def pop(self, now: float) -> T | None:
        """Take out the thing whose time is the earliest, if it is not after `now`."""
        due = self.next
        if due is None or due > now:
            return None
        thing = heapq.heappop(self._heap)[2]
        del self._entries[thing]
        return thing

    @property
    def next(self) -> float | None:
        """The earliest time; None if there is none."""
        while self._heap:
            time, order, thing = self._heap[0]
            if self._entries.get(thing) == (time, order):
                return time
            heapq.heappop(self._heap)
        return None

    def _tidy(self) -> None:
        if len(self._heap) > 2 * len(self._entries) + _MIN_HEAP:
            self._heap = [(*entry, thing) for thing, entry in self._entries.items()]
            heapq.heapify(self._heap)


class Event:
    """Something that the harvesting thread has to react to: a value, or an object whose time has come."""

    __slots__ = ()


class EventQueue:
    """Any thread posts events. The harvesting thread takes them one by one.

    Attributes:
        timers: events that come at their time. The harvesting thread owns them.
    """

    def __init__(self) -> None:
        self.timers: Timers[Event] = Timers()
        self._posted: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def post(self, event: Event) -> None:
        """Have the harvesting thread react to an event."""
        self._posted.put(event)

    def due(self) -> Iterator[Event]:
        """Wait until there is an event, and take those that had come, or were due, by then.

        Posted events come first. After a number of events it ends, so that a question need not wait until every file
        has been looked at. Who stops drawing loses nothing.
        """
        due = self.timers.next
        try:
            first = self._posted.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
        except queue.Empty:
            first = None
        now = time.monotonic()
        posted = min(self._posted.qsize(), _MAX_EVENTS)
        if first is not None:
            yield first
        for _ in range(posted):
            yield self._posted.get()
        for _ in range(_MAX_EVENTS - posted):
            event = self.timers.pop(now)
            if event is None:
                return
            yield event
